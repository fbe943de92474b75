#include "model/base/colours.h"

enum { ANCHORS = 5 };

static const double anchors[ANCHORS][FWM_COLOUR_CHANNELS] = {
    {0.05, 0.05, 0.30}, {0.40, 0.08, 0.55}, {0.80, 0.20, 0.30}, {0.97, 0.60, 0.15}, {1.00, 0.97, 0.70}};

void fwm_colour(double t, double rgb[FWM_COLOUR_CHANNELS])
{
    t *= ANCHORS - 1;
    t = t > 0 ? t < ANCHORS - 1 ? t : ANCHORS - 1 : 0;
    int k = (int)t < ANCHORS - 2 ? (int)t : ANCHORS - 2;
    for (int c = 0; c < FWM_COLOUR_CHANNELS; c++)
        rgb[c] = anchors[k][c] + (t - k) * (anchors[k + 1][c] - anchors[k][c]);
}
