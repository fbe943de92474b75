/* Who owns a node, and its values on those who hold it too. */
#include "physics/distribute_impl.h"

#include "model/base/arena.h"

#include <stdlib.h>
#include <string.h>

static int compare_int32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(((const fem_node_key *)a)->vertex, ((const fem_node_key *)b)->vertex,
                  sizeof((const fem_node_key *)a)->vertex);
}

/* ---- keys and owners ---- */

typedef struct node_table {
    fem_part *part;
    fem_node_key *sorted, *of_node; /* [n_nodes] */
    int32_t *owner;                 /* [n_nodes] rank */
    int32_t *near;                  /* [n_nodes] of nodes at no own cell: the owner of a cell there, else -1 */
} node_table;

static fem_node_key key_of(const fem_mesh *m, const fem_share *s, int64_t cell, int i)
{
    const fem_cell_shape *shape = fem_shape(m);
    unsigned mean = shape->mean[m->impl->node_place[i]];
    fem_node_key key = {{-1, -1, -1, -1}, m->cell_nodes[cell * m->cell_node_count + i]};
    int n = 0;
    if (mean == (1U << shape->vertices) - 1) {
        key.vertex[0] = -2;
        key.vertex[1] = s->cell[cell];
        return key;
    }
    for (int v = 0; v < shape->vertices; v++)
        if (mean >> v & 1)
            key.vertex[n++] = s->merged[cell * shape->vertices + v];
    qsort(key.vertex, (size_t)n, sizeof *key.vertex, compare_int32);
    return key;
}

/* The share keeps the vertices in the arrays' order, the mesh may have turned a cell: keys need the mesh's. */
static void follow_turns(const fem_mesh *m, const fem_share *s)
{
    const fem_cell_shape *shape = fem_shape(m);
    int n = shape->vertices;
    for (int64_t c = 0; c < m->n_cells; c++) {
        const int32_t *v = m->cells + c * n;
        int32_t *merged = s->merged + c * n, before[FEM_MAX_CELL_VERTICES];
        bool same = true;
        for (int k = 0; k < n; k++)
            same = same && memcmp(s->x + (c * n + k) * shape->dim, m->vertices + (int64_t)v[k] * shape->dim,
                                  (size_t)shape->dim * sizeof *s->x) == 0;
        if (same)
            continue;
        memcpy(before, merged, (size_t)n * sizeof *before);
        for (int k = 0; k < n; k++)
            merged[k] = before[shape->turned[k]];
    }
}

static fwm_status make_table(node_table *t, const fem_share *s)
{
    const fem_mesh *m = t->part->mesh;
    size_t n = (size_t)m->n_nodes;
    t->sorted = fwm_malloc(n, sizeof *t->sorted);
    t->of_node = fwm_malloc(n, sizeof *t->of_node);
    t->owner = fwm_malloc(n, sizeof *t->owner);
    t->near = fwm_malloc(n, sizeof *t->near);
    bool *inner = fwm_calloc(n, sizeof *inner);
    if (!t->sorted || !t->of_node || !t->owner || !t->near || !inner) {
        fwm_free(inner);
        return fwm_fail(FWM_MEMORY, "mesh: out of memory for %zu nodes", n);
    }
    for (size_t i = 0; i < n; i++)
        t->owner[i] = t->part->ranks;
    for (int64_t c = 0; c < m->n_cells; c++)
        for (int i = 0; i < m->cell_node_count; i++) {
            int64_t node = m->cell_nodes[c * m->cell_node_count + i];
            t->of_node[node] = key_of(m, s, c, i);
            t->owner[node] = s->owner[c] < t->owner[node] ? s->owner[c] : t->owner[node];
            inner[node] = inner[node] || t->part->own_cell[c];
        }
    for (size_t i = 0; i < n; i++)
        t->near[i] = inner[i] ? -1 : t->owner[i];
    fwm_free(inner);
    memcpy(t->sorted, t->of_node, n * sizeof *t->sorted);
    qsort(t->sorted, n, sizeof *t->sorted, compare_keys);
    return FWM_OK;
}

/* ---- questions ---- */

/* A question about nodes, by rank: keys that others are asked for, and what they answer: owner and local number. */
typedef struct question {
    int ranks;
    int *ask, *asked, *ask_at, *asked_at; /* [ranks] keys, and where they start */
    int64_t n_ask, n_asked;
    fem_node_key *out, *in;
    int32_t *answer, *reply; /* [n,2] */
    int32_t *node;           /* [n_ask] which local node each key is */
} question;

static void question_free(question *q)
{
    void *arrays[] = {q->ask, q->asked, q->ask_at, q->asked_at, q->out, q->in, q->answer, q->reply, q->node};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
}

static fwm_status put_questions(question *q, const node_table *t, const int32_t *whom)
{
    int64_t n = t->part->mesh->n_nodes;
    size_t ranks = (size_t)(q->ranks = t->part->ranks);
    q->ask = fwm_calloc(ranks, sizeof *q->ask);
    q->asked = fwm_calloc(ranks, sizeof *q->asked);
    q->ask_at = fwm_calloc(ranks, sizeof *q->ask_at);
    q->asked_at = fwm_calloc(ranks, sizeof *q->asked_at);
    FWM_CHECK(q->ask && q->asked && q->ask_at && q->asked_at, FWM_MEMORY, "mesh: out of memory for %zu processes",
              ranks);
    for (int64_t i = 0; i < n; i++)
        if (whom[i] >= 0 && whom[i] != t->part->rank) {
            q->ask[whom[i]]++;
            q->n_ask++;
        }
    q->out = fwm_malloc((size_t)q->n_ask, sizeof *q->out);
    q->node = fwm_malloc((size_t)q->n_ask, sizeof *q->node);
    q->answer = fwm_malloc((size_t)q->n_ask, 2 * sizeof *q->answer);
    FWM_CHECK(q->out && q->node && q->answer, FWM_MEMORY, "mesh: out of memory for %lld ghosts", (long long)q->n_ask);
    int64_t at = 0;
    for (int r = 0; r < q->ranks; r++) {
        q->ask_at[r] = (int)at;
        for (int64_t i = 0; q->ask[r] > 0 && i < n; i++)
            if (whom[i] == r) {
                q->out[at] = t->of_node[i];
                q->node[at++] = (int32_t)i;
            }
    }
    return FWM_OK;
}

static fwm_status scale_counts(const int *count, int *bytes, int ranks, int size)
{
    for (int r = 0; r < ranks; r++) {
        FWM_CHECK(count[r] < INT32_MAX / size, FWM_OVERFLOW, "mesh: %d ghosts are too many", count[r]);
        bytes[r] = count[r] * size;
    }
    return FWM_OK;
}

/* Every process asks others, and answers from its own table. */
static fwm_status ask(question *q, const node_table *t, const int32_t *whom)
{
    fwm_status status = fem_agree(put_questions(q, t, whom));
    if (status != FWM_OK)
        return status;
    FEM_MPI(MPI_Alltoall(q->ask, 1, MPI_INT, q->asked, 1, MPI_INT, MPI_COMM_WORLD));
    for (int r = 0; r < q->ranks; r++) {
        q->asked_at[r] = (int)q->n_asked;
        q->n_asked += q->asked[r];
    }
    q->in = fwm_malloc((size_t)q->n_asked, sizeof *q->in);
    q->reply = fwm_malloc((size_t)q->n_asked, 2 * sizeof *q->reply);
    int *list = fwm_malloc((size_t)q->ranks, 4 * sizeof *list);
    status = q->in && q->reply && list
                 ? FWM_OK
                 : fwm_fail(FWM_MEMORY, "mesh: out of memory for %lld questions", (long long)q->n_asked);
    for (int round = 0; round < 2 && status == FWM_OK; round++) {
        int size = round == 0 ? (int)sizeof *q->in : (int)(2 * sizeof *q->reply), n = q->ranks;
        int *to = list, *to_at = list + n, *from = list + 2 * n, *from_at = list + 3 * n;
        status = scale_counts(round ? q->asked : q->ask, to, n, size);
        status = status == FWM_OK ? scale_counts(round ? q->asked_at : q->ask_at, to_at, n, size) : status;
        status = status == FWM_OK ? scale_counts(round ? q->ask : q->asked, from, n, size) : status;
        status = status == FWM_OK ? scale_counts(round ? q->ask_at : q->asked_at, from_at, n, size) : status;
        if ((status = fem_agree(status)) != FWM_OK)
            break;
        if (MPI_Alltoallv(round ? (void *)q->reply : q->out, to, to_at, MPI_BYTE, round ? (void *)q->answer : q->in,
                          from, from_at, MPI_BYTE, MPI_COMM_WORLD) != MPI_SUCCESS)
            status = fwm_fail(FWM_LIBRARY, "MPI: an exchange of questions failed");
        for (int64_t k = 0; round == 0 && status == FWM_OK && k < q->n_asked; k++) {
            const fem_node_key *found =
                bsearch(&q->in[k], t->sorted, (size_t)t->part->mesh->n_nodes, sizeof *found, compare_keys);
            q->reply[2 * k] = found ? t->owner[found->node] : -1;
            q->reply[2 * k + 1] = found ? found->node : -1;
        }
    }
    fwm_free(list);
    return fem_agree(status);
}

/* ---- the halo ---- */

static fwm_status find_owners(node_table *t)
{
    question q = {0};
    fwm_status status = ask(&q, t, t->near);
    for (int64_t k = 0; status == FWM_OK && k < q.n_ask; k++) {
        t->owner[q.node[k]] = q.answer[2 * k];
        if (q.answer[2 * k] < 0)
            status = fwm_fail(FWM_INTERNAL, "mesh: a neighbour does not know the node %d of its own cell", q.node[k]);
    }
    question_free(&q);
    return fem_agree(status);
}

static fwm_status keep_halo(fem_halo *h, const question *q, const node_table *t)
{
    size_t ranks = (size_t)q->ranks;
    h->n_send = q->n_asked;
    h->n_receive = q->n_ask;
    h->send_count = fwm_malloc(ranks, sizeof *h->send_count);
    h->receive_count = fwm_malloc(ranks, sizeof *h->receive_count);
    h->send = fwm_malloc((size_t)h->n_send, sizeof *h->send);
    h->receive = fwm_malloc((size_t)h->n_receive, sizeof *h->receive);
    h->request = fwm_malloc(2 * ranks, sizeof(MPI_Request));
    FWM_CHECK(h->send_count && h->receive_count && h->send && h->receive && h->request, FWM_MEMORY,
              "mesh: out of memory for a halo of %lld nodes", (long long)h->n_receive);
    memcpy(h->send_count, q->asked, ranks * sizeof *q->asked);
    memcpy(h->receive_count, q->ask, ranks * sizeof *q->ask);
    memcpy(h->receive, q->node, (size_t)h->n_receive * sizeof *h->receive);
    for (int64_t k = 0; k < h->n_send; k++) {
        h->send[k] = q->reply[2 * k + 1];
        FWM_CHECK(h->send[k] >= 0 && t->owner[h->send[k]] == t->part->rank, FWM_INTERNAL,
                  "mesh: a neighbour asks for a node that process %d does not own", t->part->rank);
    }
    return FWM_OK;
}

/* Owned nodes are numbered process by process; ghosts learn their numbers as they learn any value. */
static fwm_status number_nodes(fem_part *p)
{
    int64_t n = p->mesh->n_nodes, first = 0;
    double *number = fwm_calloc((size_t)n, sizeof *number);
    FWM_TRY(fem_agree(number ? FWM_OK : fwm_fail(FWM_MEMORY, "mesh: out of memory for %lld nodes", (long long)n)));
    fwm_status status = FWM_OK;
    if (MPI_Exscan(&p->n_owned, &first, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD) != MPI_SUCCESS ||
        MPI_Allreduce(&p->n_owned, &p->n_global, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD) != MPI_SUCCESS)
        status = fwm_fail(FWM_LIBRARY, "MPI: a sum of node counts failed");
    first = p->rank == 0 ? 0 : first;
    for (int64_t i = 0; i < n; i++)
        if (p->owned[i])
            number[i] = (double)first++;
    if (status == FWM_OK)
        status = fem_part_exchange(p, AD_F64, number, 1, 1);
    for (int64_t i = 0; i < n; i++)
        p->node[i] = (int64_t)number[i];
    fwm_free(number);
    return fem_agree(status);
}

fwm_status fem_halo_create(fem_part *p, const fem_share *s)
{
    node_table t = {.part = p};
    question q = {0};
    int64_t n = p->mesh->n_nodes;
    follow_turns(p->mesh, s);
    p->owned = fwm_calloc((size_t)n, sizeof *p->owned);
    p->node = fwm_malloc((size_t)n, sizeof *p->node);
    p->halo = fwm_calloc(1, sizeof *p->halo);
    fwm_status status = p->owned && p->node && p->halo
                            ? make_table(&t, s)
                            : fwm_fail(FWM_MEMORY, "mesh: out of memory for %lld nodes", (long long)n);
    FWM_TRY_GOTO(status, fem_agree(status));
    FWM_TRY_GOTO(status, find_owners(&t));
    for (int64_t i = 0; i < n; i++) {
        p->owned[i] = t.owner[i] == p->rank;
        p->n_owned += p->owned[i];
    }
    FWM_TRY_GOTO(status, ask(&q, &t, t.owner));
    FWM_TRY_GOTO(status, fem_agree(keep_halo(p->halo, &q, &t)));
    status = number_nodes(p);
done:
    question_free(&q);
    fwm_free(t.sorted);
    fwm_free(t.of_node);
    fwm_free(t.owner);
    fwm_free(t.near);
    return status;
}

void fem_halo_destroy(fem_halo **halo)
{
    fem_halo *h = *halo;
    if (!h)
        return;
    *halo = NULL;
    void *arrays[] = {h->send_count,  h->receive_count,  h->send,   h->receive,
                      h->send_buffer, h->receive_buffer, h->request};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        fwm_free(arrays[k]);
    fwm_free(h);
}

/* ---- exchange ---- */

static fwm_status room_in_halo(fem_halo *h, size_t bytes)
{
    if (bytes <= h->bytes)
        return FWM_OK;
    void *send = fwm_realloc(h->send_buffer, (size_t)h->n_send, bytes);
    h->send_buffer = send ? send : h->send_buffer;
    void *receive = fwm_realloc(h->receive_buffer, (size_t)h->n_receive, bytes);
    h->receive_buffer = receive ? receive : h->receive_buffer;
    FWM_CHECK(send && receive, FWM_MEMORY, "mesh: out of memory for a halo of %lld nodes", (long long)h->n_receive);
    h->bytes = bytes;
    return FWM_OK;
}

static fwm_status post(const fem_part *p, size_t bytes)
{
    fem_halo *h = p->halo;
    int requests = 0;
    char *to = h->receive_buffer, *from = h->send_buffer;
    for (int r = 0; r < p->ranks; r++) {
        FWM_CHECK((size_t)h->receive_count[r] < INT32_MAX / bytes && (size_t)h->send_count[r] < INT32_MAX / bytes,
                  FWM_OVERFLOW, "mesh: a halo of %d nodes of %zu bytes is too large", h->receive_count[r], bytes);
        int in = (int)((size_t)h->receive_count[r] * bytes), out = (int)((size_t)h->send_count[r] * bytes);
        if (in > 0)
            FEM_MPI(MPI_Irecv(to, in, MPI_BYTE, r, 0, MPI_COMM_WORLD, &h->request[requests++]));
        if (out > 0)
            FEM_MPI(MPI_Isend(from, out, MPI_BYTE, r, 0, MPI_COMM_WORLD, &h->request[requests++]));
        to += in;
        from += out;
    }
    FEM_MPI(MPI_Waitall(requests, h->request, MPI_STATUSES_IGNORE));
    return FWM_OK;
}

fwm_status fem_part_exchange(fem_part *p, ad_dtype dtype, void *u, int64_t batch, int64_t components)
{
    fem_halo *h = p->halo;
    size_t value = (size_t)components * fem_number_size(dtype), bytes = (size_t)batch * value;
    size_t sample = (size_t)p->mesh->n_nodes * value;
    FWM_TRY(room_in_halo(h, bytes));
    for (int64_t k = 0; k < h->n_send; k++)
        for (int64_t b = 0; b < batch; b++)
            memcpy((char *)h->send_buffer + (size_t)k * bytes + (size_t)b * value,
                   (const char *)u + (size_t)b * sample + (size_t)h->send[k] * value, value);
    FWM_TRY(post(p, bytes));
    for (int64_t k = 0; k < h->n_receive; k++)
        for (int64_t b = 0; b < batch; b++)
            memcpy((char *)u + (size_t)b * sample + (size_t)h->receive[k] * value,
                   (const char *)h->receive_buffer + (size_t)k * bytes + (size_t)b * value, value);
    return FWM_OK;
}

fwm_status fem_part_gather(fem_part *p, double *all, const double *u, int64_t batch, int64_t components)
{
    int64_t width = batch * components, at = 0;
    int mine = (int)(p->n_owned * width);
    int *count = fwm_calloc((size_t)p->ranks, 2 * sizeof *count), *first = count ? count + p->ranks : NULL;
    double *own = fwm_malloc((size_t)(p->n_owned * width), sizeof *own);
    double *rows = fwm_malloc(p->rank == 0 ? (size_t)(p->n_global * width) : 1, sizeof *rows);
    fwm_status status = count && own && rows && p->n_global * width < INT32_MAX
                            ? FWM_OK
                            : fwm_fail(FWM_MEMORY, "mesh: no room for %lld values", (long long)(p->n_global * width));
    FWM_TRY_GOTO(status, fem_agree(status));
    for (int64_t i = 0; i < p->mesh->n_nodes; i++)
        for (int64_t b = 0; p->owned[i] && b < batch; b++)
            for (int64_t c = 0; c < components; c++)
                own[at++] = u[(b * p->mesh->n_nodes + i) * components + c];
    if (MPI_Gather(&mine, 1, MPI_INT, count, 1, MPI_INT, 0, MPI_COMM_WORLD) != MPI_SUCCESS)
        status = fwm_fail(FWM_LIBRARY, "MPI: a gathering of counts failed");
    for (int r = 1; r < p->ranks; r++)
        first[r] = first[r - 1] + count[r - 1];
    if (status == FWM_OK &&
        MPI_Gatherv(own, mine, MPI_DOUBLE, rows, count, first, MPI_DOUBLE, 0, MPI_COMM_WORLD) != MPI_SUCCESS)
        status = fwm_fail(FWM_LIBRARY, "MPI: a gathering failed");
    for (int64_t i = 0; p->rank == 0 && status == FWM_OK && i < p->n_global; i++)
        for (int64_t b = 0; b < batch; b++)
            memcpy(all + (b * p->n_global + i) * components, rows + (i * batch + b) * components,
                   (size_t)components * sizeof *all);
done:
    fwm_free(count);
    fwm_free(own);
    fwm_free(rows);
    return fem_agree(status);
}
