#include "model/base/nearest.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 64, FAR = 1000 };

/* Levenshtein distance with '-' and '_' alike; FAR for long words. */
static int distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX)
        return FAR;
    int row[WORD_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            const char x = a[i - 1] == '-' ? '_' : a[i - 1], y = b[j - 1] == '-' ? '_' : b[j - 1];
            int best = diagonal + (x != y);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

void fwm_nearest_start(fwm_nearest *nearest, const char *word)
{
    nearest->word = word;
    nearest->distance = FAR;
    nearest->depth = 0;
    nearest->best[0] = '\0';
}

void fwm_nearest_offer(fwm_nearest *nearest, const char *candidate)
{
    int d = distance(nearest->word, candidate);
    const char *last = strrchr(candidate, '.');
    if (last != NULL) {
        const int tail = distance(nearest->word, last + 1);
        d = tail < d ? tail : d;
    }
    int depth = 0;
    for (const char *c = candidate; *c != '\0'; c++)
        depth += *c == '.';
    if (d < nearest->distance || (d == nearest->distance && depth < nearest->depth)) {
        nearest->distance = d;
        nearest->depth = depth;
        (void)snprintf(nearest->best, sizeof nearest->best, "%s", candidate);
    }
}

bool fwm_nearest_found(const fwm_nearest *nearest)
{
    const int length = (int)strlen(nearest->word);
    return nearest->distance <= (length < 3 ? 0 : length < 6 ? 2 : 3) && nearest->distance < FAR;
}
