/* Writes a mesh as gmsh would: format 2.2 or 4.1, text or binary. One entity a region and one a boundary. */
#ifndef FWM_TESTS_PHYSICS_MSH_H
#define FWM_TESTS_PHYSICS_MSH_H

#include "boxes.h"

#include <stdio.h>

typedef struct msh_writer {
    FILE *f;
    bool four, binary;
} msh_writer;

static inline void msh_int(msh_writer *w, int32_t value)
{
    if (w->binary)
        fwrite(&value, sizeof value, 1, w->f);
    else
        fprintf(w->f, "%d ", value);
}

static inline void msh_size(msh_writer *w, uint64_t value)
{
    if (w->binary)
        fwrite(&value, sizeof value, 1, w->f);
    else
        fprintf(w->f, "%llu ", (unsigned long long)value);
}

static inline void msh_real(msh_writer *w, double value)
{
    if (w->binary)
        fwrite(&value, sizeof value, 1, w->f);
    else
        fprintf(w->f, "%.17g ", value);
}

static inline void msh_end(msh_writer *w)
{
    if (!w->binary)
        fputc('\n', w->f);
}

static inline int msh_type(int dim, int vertices)
{
    return dim == 1 ? 1 : dim == 2 ? (vertices == 3 ? 2 : 3) : vertices == 4 ? 4 : 5;
}

static inline void msh_coordinates(msh_writer *w, const fem_mesh *m, int64_t i)
{
    for (int d = 0; d < 3; d++)
        msh_real(w, d < m->dim ? m->vertices[m->dim * i + d] : 0);
}

/* Tags are 10 + 3 i, so that nothing may rely on 1..n. */
static inline int32_t msh_tag(int64_t i)
{
    return (int32_t)(10 + 3 * i);
}

static inline void msh_nodes(msh_writer *w, const fem_mesh *m)
{
    fputs("$Nodes\n", w->f);
    if (!w->four)
        fprintf(w->f, "%lld\n", (long long)m->n_vertices);
    else {
        msh_size(w, 1);
        msh_size(w, (uint64_t)m->n_vertices);
        msh_size(w, 10);
        msh_size(w, (uint64_t)msh_tag(m->n_vertices - 1));
        msh_end(w);
        msh_int(w, m->dim);
        msh_int(w, 1);
        msh_int(w, 0);
        msh_size(w, (uint64_t)m->n_vertices);
        msh_end(w);
        for (int64_t i = 0; i < m->n_vertices; i++) {
            msh_size(w, (uint64_t)msh_tag(i));
            msh_end(w);
        }
    }
    for (int64_t i = 0; i < m->n_vertices; i++) {
        if (!w->four)
            msh_int(w, msh_tag(i));
        msh_coordinates(w, m, i);
        msh_end(w);
    }
    fputs("\n$EndNodes\n", w->f);
}

/* Elements of one group; counts them on from *tag. */
static inline void msh_group(msh_writer *w, int dim, int n, int group, const int32_t *vertex, const int32_t *of,
                             int64_t count, int32_t *tag)
{
    int64_t here = 0;
    for (int64_t i = 0; i < count; i++)
        here += of[i] == group;
    if (w->four) {
        msh_int(w, dim);
        msh_int(w, group + 1);
        msh_int(w, msh_type(dim, n));
        msh_size(w, (uint64_t)here);
        msh_end(w);
    } else if (w->binary && here > 0) {
        msh_int(w, msh_type(dim, n));
        msh_int(w, (int32_t)here);
        msh_int(w, 2);
    }
    for (int64_t i = 0; i < count; i++) {
        if (of[i] != group)
            continue;
        if (w->four)
            msh_size(w, (uint64_t)++ * tag);
        else {
            msh_int(w, ++*tag);
            if (!w->binary) {
                msh_int(w, msh_type(dim, n));
                msh_int(w, 2);
            }
            msh_int(w, 100 * dim + group);
            msh_int(w, group + 1);
        }
        for (int k = 0; k < n; k++)
            w->four ? msh_size(w, (uint64_t)msh_tag(vertex[i * n + k])) : msh_int(w, msh_tag(vertex[i * n + k]));
        msh_end(w);
    }
}

static inline void msh_entities(msh_writer *w, const fem_mesh *m)
{
    fputs("$Entities\n", w->f);
    int count[4] = {0};
    count[m->dim - 1] = m->n_labels;
    count[m->dim] = m->n_regions;
    for (int d = 0; d < 4; d++)
        msh_size(w, (uint64_t)count[d]);
    msh_end(w);
    for (int d = m->dim - 1; d <= m->dim; d++)
        for (int k = 0; k < count[d]; k++) {
            msh_int(w, k + 1);
            for (int i = 0; i < 6; i++)
                msh_real(w, i);
            msh_size(w, 1);
            msh_int(w, 100 * d + k);
            msh_size(w, 2);
            msh_int(w, 1);
            msh_int(w, -2);
            msh_end(w);
        }
    fputs("\n$EndEntities\n", w->f);
}

static inline void msh_write(const char *path, const fem_mesh *m, bool four, bool binary)
{
    msh_writer w = {fopen(path, "wb"), four, binary};
    cr_assert(w.f);
    fprintf(w.f, "$MeshFormat\n%s %d 8\n", four ? "4.1" : "2.2", binary);
    if (binary) {
        msh_int(&w, 1);
        fputc('\n', w.f);
    }
    fprintf(w.f, "$EndMeshFormat\n$PhysicalNames\n%d\n", m->n_labels + m->n_regions);
    for (int k = 0; k < m->n_labels; k++)
        fprintf(w.f, "%d %d \"%s\"\n", m->dim - 1, 100 * (m->dim - 1) + k, m->label_name[k]);
    for (int k = 0; k < m->n_regions; k++)
        fprintf(w.f, "%d %d \"%s\"\n", m->dim, 100 * m->dim + k, m->region_name[k]);
    fputs("$EndPhysicalNames\n$Comments\nanything $End\n$EndComments\n", w.f);
    if (four)
        msh_entities(&w, m);
    msh_nodes(&w, m);
    fputs("$Elements\n", w.f);
    int32_t tag = 0;
    uint64_t all = (uint64_t)(m->n_cells + m->n_faces);
    if (four) {
        msh_size(&w, (uint64_t)(m->n_labels + m->n_regions));
        msh_size(&w, all);
        msh_size(&w, 1);
        msh_size(&w, all);
        msh_end(&w);
    } else
        fprintf(w.f, "%llu\n", (unsigned long long)all);
    for (int k = 0; k < m->n_labels; k++)
        msh_group(&w, m->dim - 1, m->face_vertices, k, m->faces, m->face_label, m->n_faces, &tag);
    for (int k = 0; k < m->n_regions; k++)
        msh_group(&w, m->dim, m->cell_vertices, k, m->cells, m->cell_region, m->n_cells, &tag);
    fputs("\n$EndElements\n", w.f);
    cr_assert_eq(fclose(w.f), 0);
}

#endif
