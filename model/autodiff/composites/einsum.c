/* Products by index as transposition, one batched matrix product, and transposition back. */
#include "model/autodiff/ops.h"

#include <ctype.h>
#include <string.h>

enum { BATCH, OWN_A, OWN_B, SUMMED, KINDS };

typedef struct term {
    char letter[AD_MAX_RANK + 1];
    int n;
} term;

typedef struct form {
    term a, b, out;
} form;

static const char *read_term(const char *s, term *t)
{
    t->n = 0;
    while (isalpha((unsigned char)*s) && t->n < AD_MAX_RANK && !memchr(t->letter, *s, (size_t)t->n))
        t->letter[t->n++] = *s++;
    t->letter[t->n] = 0;
    return s;
}

static bool read_form(const char *s, form *f)
{
    s = read_term(s, &f->a);
    if (*s++ != ',')
        return false;
    s = read_term(s, &f->b);
    if (strncmp(s, "->", 2) != 0)
        return false;
    s = read_term(s + 2, &f->out);
    for (int k = 0; k < f->out.n; k++)
        if (!strchr(f->a.letter, f->out.letter[k]) && !strchr(f->b.letter, f->out.letter[k]))
            return false;
    return *s == 0 && f->a.n > 0 && f->b.n > 0 && f->out.n > 0;
}

/* Sums over the letters that only this operand has. */
static ad_value drop_alone(ad_graph *g, ad_value x, term *t, const term *other, const term *out)
{
    int axes[AD_MAX_RANK], n = 0, left = 0;
    for (int k = 0; k < t->n; k++)
        if (!strchr(other->letter, t->letter[k]) && !strchr(out->letter, t->letter[k]))
            axes[n++] = k;
        else
            t->letter[left++] = t->letter[k];
    if (n == 0)
        return x;
    t->letter[left] = 0;
    t->n = left;
    return ad_sum(g, x, n, axes, false);
}

static int kind_of(const form *f, char c)
{
    bool a = strchr(f->a.letter, c), b = strchr(f->b.letter, c), out = strchr(f->out.letter, c);
    return !out ? SUMMED : a && b ? BATCH : a ? OWN_A : OWN_B;
}

/* x as [batch, first kind, second kind], batch in the order of the result. sizes[] gets the length of each kind. */
static ad_value arrange(ad_graph *g, const form *f, ad_value x, const term *t, int first, int second, int64_t *sizes)
{
    const int kinds[] = {BATCH, first, second};
    int perm[AD_MAX_RANK], n = 0;
    bool moved = false;
    for (int k = 0; k < 3; k++) {
        const term *order = kinds[k] == SUMMED ? &f->a : &f->out;
        sizes[kinds[k]] = 1;
        for (int i = 0; i < order->n; i++) {
            const char *at = strchr(t->letter, order->letter[i]);
            if (!at || kind_of(f, *at) != kinds[k])
                continue;
            moved = moved || at - t->letter != n;
            perm[n++] = (int)(at - t->letter);
            sizes[kinds[k]] *= ad_dim(g, x, (int)(at - t->letter));
        }
    }
    ad_value y = moved ? ad_transpose(g, x, perm) : x;
    return ad_reshape(g, y, ad_shape_make(3, sizes[BATCH], sizes[first], sizes[second]));
}

/* [batch, own a, own b] as the result's axes in its order. */
static ad_value restore(ad_graph *g, const form *f, ad_value y, const int64_t dim[128])
{
    ad_shape s = {.rank = f->out.n};
    int perm[AD_MAX_RANK], n = 0;
    bool moved = false;
    for (int kind = BATCH; kind <= OWN_B; kind++)
        for (int i = 0; i < f->out.n; i++)
            if (kind_of(f, f->out.letter[i]) == kind) {
                s.dim[n] = dim[(int)f->out.letter[i]];
                moved = moved || i != n;
                perm[i] = n++;
            }
    y = ad_reshape(g, y, s);
    return moved && y >= 0 ? ad_transpose(g, y, perm) : y;
}

static bool read_lengths(ad_graph *g, const char *text, const term *t, ad_value x, int64_t dim[128])
{
    char found[96];
    const ad_shape *s = ad_shape_of(g, x);
    bool fits = s->rank == t->n;
    for (int k = 0; fits && k < t->n; k++) {
        int64_t *length = &dim[(int)t->letter[k]];
        fits = *length == 0 || *length == s->dim[k];
        *length = s->dim[k];
    }
    if (!fits)
        (void)ad_graph_fail(g, FWM_SHAPE, "einsum \"%s\": %s does not fit \"%s\" (equal letters have equal lengths)",
                            text, ad_shape_text(s, found), t->letter);
    return fits;
}

ad_value ad_einsum(ad_graph *g, const char *text, ad_value a, ad_value b)
{
    form f;
    int64_t dim[128] = {0}, sizes[KINDS];
    if (a < 0 || b < 0)
        return AD_NONE;
    if (!read_form(text, &f))
        return ad_graph_fail(g, FWM_INVALID,
                             "einsum: expected two operands and a result of different letters, as \"bij,bjk->bik\", "
                             "found \"%s\"",
                             text);
    if (!read_lengths(g, text, &f.a, a, dim) || !read_lengths(g, text, &f.b, b, dim))
        return AD_NONE;
    a = drop_alone(g, a, &f.a, &f.b, &f.out);
    b = drop_alone(g, b, &f.b, &f.a, &f.out);
    if (ad_graph_status(g) != FWM_OK)
        return AD_NONE;
    ad_value left = arrange(g, &f, a, &f.a, OWN_A, SUMMED, sizes);
    ad_value right = arrange(g, &f, b, &f.b, SUMMED, OWN_B, sizes);
    return restore(g, &f, ad_matmul(g, left, right, false, false), dim);
}
