/* The colour map of drawn fields: dark blue, violet, red, orange, pale yellow. Red never falls and rises almost
 * everywhere, so that a clean pixel tells its value. */
#ifndef FWM_MODEL_BASE_COLOURS_H
#define FWM_MODEL_BASE_COLOURS_H

enum { FWM_COLOUR_CHANNELS = 3 };

/* sRGB in [0,1] of t from 0 to 1; values outside take the colours of the ends. */
void fwm_colour(double t, double rgb[FWM_COLOUR_CHANNELS]);

#endif
