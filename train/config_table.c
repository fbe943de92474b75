/* The table of all keys. A key is one row here and one member of tr_config (config.h): nothing else needs to know it.
 */
#include "train/config_internal.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

/* OWNER: the structure that has the field, a tr_config or a record. */
#define PLACE(field) .path = #field, .offset = offsetof(OWNER, field)
#define BOOL(field, value, ...)                                                                                        \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_BOOL, .count = 1, .text = value, .help = __VA_ARGS__                             \
    }
#define INT(field, value, low, high, units, ...)                                                                       \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_INT, .count = 1, .min = low, .max = high, .unit = units, .text = value,          \
                      .help = __VA_ARGS__                                                                              \
    }
#define INT_OR(name, field, value, low, high, units, ...)                                                              \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_INT, .count = 1, .word = name, .min = low, .max = high, .unit = units,           \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define INT2(field, value, low, high, units, ...)                                                                      \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_INT, .count = 2, .min = low, .max = high, .unit = units, .text = value,          \
                      .help = __VA_ARGS__                                                                              \
    }
#define INT_RANGE(field, value, low, high, units, ...)                                                                 \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_INT, .count = 2, .ordered = true, .min = low, .max = high, .unit = units,        \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define REAL(field, value, low, high, units, ...)                                                                      \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_REAL, .count = 1, .min = low, .max = high, .unit = units, .text = value,         \
                      .help = __VA_ARGS__                                                                              \
    }
#define REAL_ABOVE(field, value, low, high, units, ...)                                                                \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_REAL, .count = 1, .above = true, .min = low, .max = high, .unit = units,         \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define REAL2(field, value, low, high, units, ...)                                                                     \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_REAL, .count = 2, .min = low, .max = high, .unit = units, .text = value,         \
                      .help = __VA_ARGS__                                                                              \
    }
#define REAL2_ABOVE(field, value, low, high, units, ...)                                                               \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_REAL, .count = 2, .above = true, .min = low, .max = high, .unit = units,         \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define RANGE(field, value, low, high, units, ...)                                                                     \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_REAL, .count = 2, .ordered = true, .min = low, .max = high, .unit = units,       \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define STRING(field, value, ...)                                                                                      \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_STRING, .count = 1, .text = value, .help = __VA_ARGS__                           \
    }
#define ENUM(field, value, words, ...)                                                                                 \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_ENUM, .count = 1, .choices = words, .text = value, .help = __VA_ARGS__           \
    }
#define INTS(field, value, few, many, low, high, units, ...)                                                           \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_INTS, .at_least = few, .count = many, .min = low, .max = high, .unit = units,    \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define REALS(field, value, few, many, low, high, units, ...)                                                          \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_REALS, .at_least = few, .count = many, .min = low, .max = high, .unit = units,   \
                      .text = value, .help = __VA_ARGS__                                                               \
    }
#define STRINGS(field, value, few, many, words, ...)                                                                   \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_STRINGS, .at_least = few, .count = many, .choices = words, .text = value,        \
                      .help = __VA_ARGS__                                                                              \
    }
#define MATRIX(field, value, columns, low, high, units, ...)                                                           \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_MATRIX, .count = columns, .min = low, .max = high, .unit = units, .text = value, \
                      .help = __VA_ARGS__                                                                              \
    }
#define MAP(field, value, words, low, high, units, ...)                                                                \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_MAP, .choices = words, .min = low, .max = high, .unit = units, .text = value,    \
                      .help = __VA_ARGS__                                                                              \
    }

#define RECORDS(field, value, rows, kind, many, ...)                                                                   \
    {                                                                                                                  \
        PLACE(field), .type = TR_TYPE_RECORDS, .count = many, .members = rows, .size = sizeof(kind), .text = value,    \
                      .help = __VA_ARGS__                                                                              \
    }

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The equations are the files of physics/forms; the names of their parameters are checked once it is known which
 * equation it is (config_rules.c). */
static const char *const controls[] = {"constant", "held", "smooth", NULL};
static const char *const model_equations[] = {"none",
#define X(name) #name,
#include "forms.def"
#undef X
                                              NULL};
static const char *const cheap_equations[] = {"same",
#define X(name) #name,
#include "forms.def"
#undef X
                                              NULL};
static const char *const schemes[] = {"backward_euler", "midpoint", "newmark", "bdf2", "generalised_alpha", NULL};
#define EQUATIONS (model_equations + 1)
#define PARAMETERS NULL
#define MANY 1e9
#define MOST 1e12 /* of parameters; the equation's own ranges are held by config_rules.c */

/* clang-format off */
#define OWNER tr_condition
static const tr_row condition_rows[] = {
    STRING(boundary, "\?\?\?", "A boundary of the mesh by name: left, right, bottom, top of boxes, front (lower z) and back of those in space, or a name of the mesh's own"),
    STRING(field, "\"\"", "Essential: the field that is prescribed, such as velocity (all components) or velocity.x; empty: a natural condition"),
    STRING(natural, "\"\"", "Natural: the equation's own condition by name, such as outflow; empty: an essential one"),
    REAL(value, "0", -1e12, 1e12, "field", "Prescribed: value * profile, and with an action: value + gain * profile * action"),
    REAL(gain, "1", -1e12, 1e12, "field", "What an action of 1 adds where the profile is 1"),
    ENUM(profile, "constant", WORDS("constant", "parabolic"), "Form along the boundary: constant, or 4 s (1 - s), 0 at its ends and 1 in the middle"),
    STRING(action, "\"\"", "Name of the action that drives it; empty: none does"),
    {0}};
#undef OWNER
#define OWNER tr_load
static const tr_row load_rows[] = {
    STRING(action, "\?\?\?", "Name of the action that drives the load"),
    STRING(field, "\"\"", "The component that it acts on, such as velocity.y; empty: the first"),
    STRING(boundary, "\"\"", "The boundary on which it acts, by name; empty: a square of the domain"),
    REAL2(at, "[0, 0]", -1e6, 1e6, "length", "Centre of the square"),
    REAL_ABOVE(half_width, "0.1", 0, 1e6, "length", "Half the width of the square"),
    REAL(power, "1", -1e12, 1e12, "field/time", "Rate of the field at full power, of the square's area or the boundary's length"),
    {0}};
#undef OWNER
#define OWNER tr_field_start
static const tr_row start_rows[] = {
    STRING(field, "\?\?\?", "The field that starts so, such as activator, velocity (each component by itself) or velocity.x"),
    RANGE(mean, "[0, 0]", -1e12, 1e12, "field", "Range of the mean"),
    RANGE(deviation, "[0, 0]", 0, 1e12, "field", "Range of the standard deviation of a Gaussian random field around it"),
    RANGE(correlation_length, "[0.1, 0.25]", 1e-6, 1e6, "length", "Range of the random field's correlation length"),
    INT_RANGE(blobs, "[0, 0]", 0, 64, "blobs", "Range of the number of blobs, exp(-r^2 / (2 radius^2)), anywhere in the mesh's box"),
    RANGE(blob_value, "[0, 0]", -1e12, 1e12, "field", "Range of what a blob adds at its centre"),
    RANGE(blob_radius, "[0.05, 0.1]", 1e-6, 1e6, "length", "Range of a blob's radius"),
    {0}};
#undef OWNER
#define OWNER tr_region
static const tr_row region_rows[] = {
    STRING(region, "\?\?\?", "A region of the mesh by name"),
    STRING(parameter, "\?\?\?", "A parameter of the truth that may vary in space"),
    REAL(value, "\?\?\?", -MOST, MOST, "", "Its value there"),
    {0}};
#undef OWNER
#define OWNER tr_random
static const tr_row random_rows[] = {
    STRING(parameter, "\?\?\?", "A parameter of the truth by the equation's name"),
    RANGE(range, "\?\?\?", -MOST, MOST, "", "Range of its values"),
    RANGE(ood_range, "[0, 0]", -MOST, MOST, "", "The same in test_ood; [0, 0]: no other"),
    ENUM(spread, "uniform", WORDS("uniform", "logarithmic"), "How values are spread over the range"),
    INT_RANGE(discs, "[0, 0]", 0, 64, "discs", "Range of the number of discs that have such values, the rest being simulate.truth's; [0, 0]: one value for the whole"),
    RANGE(radius, "[0.1, 0.2]", 1e-6, 1e6, "length", "Range of the discs' radii"),
    {0}};
#undef OWNER
#define OWNER tr_config

const tr_block tr_config_blocks[] = {
    {"simulate", "What `fwm simulate` generates: a fine finite-element truth, a cheap coarse simulation of it, frames"},
    {"data", "The dataset and how it is read"},
    {"data.augment", "What is done to training clips as they are drawn"},
    {"physics", "The law that the model knows: its parameters, which of them are learned, and the physics loss"},
    {"physics.identification", "Fitting the learned parameters to the training split, before the network is trained"},
    {"physics.residual", "The physics loss: the law's residual on the predicted states"},
    {"model", "The world model's parts"},
    {"model.points", "A network of points, in place of the world model (model.kind points)"},
    {"model.encoder", "PF-Enc: frame tower and physics tower, joined at H/2, H/4, H/8"},
    {"model.predictor", "DF-Pred: the physics prior and the network that corrects it"},
    {"model.latent", "Z: the latent variable of a transition, a diagonal Gaussian"},
    {"model.decoder", "Dec: from state to frame"},
    {"transport", "The optimal-transport boundary regulariser"},
    {"objective", "Weights of the loss, and how far it is unrolled"},
    {"optimizer", "The step"},
    {"schedule", "The learning rate over the run"},
    {"trainer", "The run"},
    {"eval", "What is measured on held-out trajectories"},
    {"export", "What `fwm export` writes"},
};
const int tr_config_block_count = sizeof tr_config_blocks / sizeof *tr_config_blocks;

const tr_row tr_config_rows[] = {
    STRING(experiment, "\?\?\?", "Name of the experiment; its run is written to checkpoints/NAME"),
    INT(seed, "0", 0, 9007199254740991.0, "", "Seed of everything that is drawn at random"),

    INT(simulate.train, "64", 1, MANY, "trajectories", "Training split"),
    INT(simulate.validation, "16", 0, MANY, "trajectories", "Validation split"),
    INT(simulate.test, "32", 0, MANY, "trajectories", "Test split"),
    INT(simulate.test_ood, "32", 0, MANY, "trajectories", "Test split with actions outside the training range (ood_power, ood_ambient)"),
    INT(simulate.steps, "41", 2, 100000, "frames", "Length of a trajectory, the start included"),
    INT(simulate.warmup, "0", 0, 1000000, "frames", "Frames that the truth runs, with the first frame's actions, before a trajectory begins"),
    REAL_ABOVE(simulate.dt, "5.0e-4", 0, 1e6, "time", "Time between frames"),
    INT(simulate.substeps, "4", 1, 64, "steps", "Implicit steps of the truth between two frames"),
    INT(simulate.nominal_substeps, "1", 1, 64, "steps", "Those of the cheap simulation"),
    ENUM(simulate.cell, "triangle", WORDS("triangle", "quadrilateral", "tetrahedron", "hexahedron"), "Cells of both meshes, of the plane or in space"),
    ENUM(simulate.space, "P1", WORDS("P1", "P2", "Q1", "Q2"), "Finite-element space: P on triangles and tetrahedra, Q on quadrilaterals and hexahedra"),
    INTS(simulate.cells, "[64, 64]", 2, 3, 1, 4096, "cells", "Cells of the truth's mesh along x and y, in space z too (a square of triangles is two, a cube of tetrahedra six)"),
    REALS(simulate.size, "[1, 1]", 2, 3, 1e-9, 1e6, "length", "Extent of the plate along x and y, of a block along z too"),
    INTS(simulate.coarse_cells, "[16, 16]", 2, 3, 1, 4096, "cells", "Cells of the cheap simulation's mesh"),
    STRING(simulate.mesh, "\"\"", "A gmsh file in place of a box: its mesh is the cheap simulation's, refined the truth's; names of boundaries and regions are the file's (`fwm inspect FILE.msh`)"),
    STRING(simulate.mesh_hash, "\"\"", "XXH64 of that file in hex, which a dataset keeps; where given the file must have it"),
    INT(simulate.refine, "1", 1, 4, "times", "How often the file's mesh is refined for the truth"),
    STRINGS(simulate.periodic, "[]", 0, 3, WORDS("x", "y", "z"), "Axes along which the box is closed upon itself"),
    INT2(simulate.frame, "[64, 64]", 8, 4096, "pixels", "Height and width of a frame"),
    ENUM(simulate.equation, "heat", EQUATIONS, "The governing equation of the truth"),
    ENUM(simulate.nominal_equation, "same", cheap_equations, "The equation of the cheap simulation, of the same fields; same: the truth's"),
    ENUM(simulate.scheme, "backward_euler", schemes, "Time scheme of truth and cheap simulation; newmark: average acceleration, which midpoint is for displacement and velocity"),
    REAL(simulate.spectral_radius, "0.8", 0, 1, "-", "Damping of generalised_alpha: spectral radius at infinite frequency"),
    REAL_ABOVE(simulate.tolerance, "1.0e-10", 0, 1e-2, "of the state", "Newton's last update in the truth and the cheap simulation"),
    REAL(simulate.adaptive, "0", 0, 0.5, "of the state", "Error control of the truth: substeps are doubled until a frame changes by less than this; 0: as many as simulate.substeps"),
    MAP(simulate.truth, "{}", PARAMETERS, -MOST, MOST, "", "Parameters of the true law by the equation's names; absent: 0 where it may be, the term is not in the law"),
    MAP(simulate.nominal, "{}", PARAMETERS, -MOST, MOST, "", "Parameters of the cheap simulation's law; absent: likewise"),
    RECORDS(simulate.regions, "[]", region_rows, tr_region, 32, "Parameters of the truth in named regions of the mesh, under the inclusions"),
    RECORDS(simulate.random, "[]", random_rows, tr_random, 16, "Parameters of the truth that are drawn anew for each trajectory"),
    RECORDS(simulate.conditions, "[]", condition_rows, tr_condition, 32, "Conditions on named boundaries, of truth, cheap simulation and law; a boundary without one lets no flux through"),
    RECORDS(simulate.loads, "[]", load_rows, tr_load, 16, "Loads driven by actions, in the domain or on a boundary; their actions follow those of the sources"),
    RECORDS(simulate.start, "[]", start_rows, tr_field_start, 8, "How fields start; none: the first by correlation_length, deviation and offset. A field without one starts at 0"),
    MATRIX(simulate.inclusions, "[]", 4, 0, 1e9, "-, length", "Discs of the truth (in space: cylinders along z) where a parameter has another value: [value, x, y, radius]"),
    STRING(simulate.inclusion_of, "\"\"", "The parameter that the inclusions change; empty: the equation's first that may vary in space"),
    MATRIX(simulate.sources, "[]", 2, 0, 1e6, "length", "Centres of square sources (heaters, spots): [x, y]; each is one action"),
    REAL_ABOVE(simulate.source_half_width, "0.1", 0, 1e6, "length", "Half the width of a source"),
    REAL(simulate.source_power, "300", 0, 1e9, "field/time", "Rate of a source at full power"),
    RANGE(simulate.power, "[0, 1]", -1e3, 1e3, "-", "Range of the powers of sources that are on, as a factor of full power"),
    RANGE(simulate.ood_power, "[1, 2]", -1e3, 1e3, "-", "The same in test_ood"),
    INT_RANGE(simulate.hold, "[4, 12]", 1, 100000, "frames", "Range of the time for which an action is held, or taken to its next value"),
    REAL(simulate.on_probability, "0.7", 0, 1, "-", "Probability that an action that changes is on while it is held"),
    ENUM(simulate.control, "held", (controls + 1), "How the powers change: held for a while, or led smoothly from value to value"),
    ENUM(simulate.ambient_control, "constant", controls, "The same for the ambient actions (ambient temperature, uniform field); constant: one value a trajectory, above which the start has its mean"),
    RANGE(simulate.ambient, "[-0.5, 0.5]", -1e6, 1e6, "of the action", "Range of the ambient actions, which come last"),
    RANGE(simulate.ood_ambient, "[-0.5, 0.5]", -1e6, 1e6, "of the action", "The same in test_ood"),
    RANGE(simulate.correlation_length, "[0.10, 0.25]", 1e-6, 1e6, "length", "Range of the initial field's correlation length"),
    RANGE(simulate.deviation, "[0.4, 0.8]", 0, 1e6, "field", "Range of the initial field's standard deviation"),
    RANGE(simulate.offset, "[-0.2, 0.2]", -1e6, 1e6, "field", "Range of the initial field's mean, above a constant ambient"),
    STRING(simulate.frame_field, "\"\"", "What frames show: a field or component by name, of a vector field its magnitude; empty: the first component"),
    REAL(simulate.cut, "0.5", 0, 1, "of its extent", "Of a box in space: where the plane that frames show lies, from its lower side (0) to its upper (1)"),
    ENUM(simulate.cut_across, "z", WORDS("x", "y", "z"), "The axis across which that plane lies: frames show x to the right and y upwards (z), x and z (y), y and z (x)"),
    BOOL(simulate.deformed, "false", "Frames show the body where its displacement has taken it, else in its place at rest; the equation must have a displacement of the plane"),
    REAL2(simulate.margin, "[0, 0]", 0, 1e6, "length", "What frames of a deformed body show beyond the box of its place at rest, on both sides along x and y"),
    RANGE(simulate.frame_range, "[-2, 4]", -1e6, 1e6, "field", "Values at the two ends of the colour map"),
    REAL(simulate.vignetting, "0.7", 0, 1, "-", "Darkening of the frame's corners: brightness is 1 - vignetting r^2"),
    REAL(simulate.noise, "0.02", 0, 1, "-", "Standard deviation of the camera's noise, of full brightness"),
    REAL_ABOVE(simulate.key_rate, "0.25", 0, 1e9, "1/time", "Key states: frames reached by a change faster than this, as the equation measures it"),
    BOOL(simulate.compress, "false", "Compress frames (shuffle, gzip 1)"),
    ENUM(simulate.toy, "none", WORDS("none", "discs", "moons", "gaussians", "line", "duffing"), "A dataset of points instead of a simulation (data/toys.h); train, validation and test count points"),
    INT(simulate.toy_dimensions, "2", 2, 64, "-", "Dimensions of the points (above 2: gaussians and duffing)"),
    REAL(simulate.toy_share, "0.5", 0.01, 0.99, "-", "Share of the points in the left disc"),

    STRING(data.file, "\?\?\?", "The dataset, an HDF5 file; `fwm simulate` writes it, all else reads it"),
    ENUM(data.layout, "auto", WORDS("auto", "fwm", "well", "pdebench", "robomimic", "generic"), "Layout of the file; auto: recognised from its content"),
    STRING(data.frames, "auto", "What the frames are, where the layout leaves a choice (generic: PATH:AXES; robomimic: a key of obs); auto: its own choice"),
    STRING(data.state, "auto", "What the state is, where the layout leaves a choice (generic: PATH:AXES; robomimic: states, obs or a key of obs); auto: its own choice"),
    STRING(data.actions, "auto", "What the actions are, where the layout leaves a choice (generic: PATH:AXES); auto: its own choice"),
    STRINGS(data.fields, "[]", 0, 64, NULL, "Channels of the state that are used, by name, in the order of the equation's fields; []: all"),
    ENUM(data.split, "train", WORDS("train", "validation", "test", "test_ood"), "Split that training draws its clips from"),
    ENUM(data.edges, "open", WORDS("open", "wall", "periodic"), "What holds at the edges of a grid where the dataset does not say"),
    ENUM(data.across, "third", WORDS("first", "second", "third"), "Of a grid of three axes: the one that the plane lies across which is trained on"),
    REAL(data.plane, "0.5", 0, 1, "of the axis", "Of a grid of three axes: where that plane lies, from the axis's first point (0) to its last (1)"),
    REAL(data.dt, "0", 0, 1e9, "time", "Time between frames; 0: as the dataset says"),
    STRING(data.draw, "auto", "Channel of the state that is drawn where the dataset has no frames; auto: the first; none: no frames"),
    INT2(data.frame, "[0, 0]", 0, 1024, "pixels", "Height and width of drawn frames, multiples of 8 from 16 on; 0: about those of the grid"),
    RANGE(data.frame_range, "[0, 0]", -1e9, 1e9, "field", "Values at the two ends of the colour map of drawn frames; both the same: three deviations around the mean"),
    INT(data.coarsen, "2", 1, 64, "-", "Spacing of the cheap simulation's mesh in those of the grid, where it is computed from physics.equation"),
    INT(data.clip, "8", 1, 4096, "frames", "Frames of a training clip"),
    INT(data.batch, "8", 1, 4096, "clips", "Clips of a training step"),
    INT(data.context, "1", 1, 4096, "frames", "Observed frames before a prediction begins"),
    INT(data.prefetch, "3", 1, 64, "batches", "Batches that are read ahead"),
    INT(data.trajectories, "0", 0, MANY, "trajectories", "Use the first N of the training split; 0: all"),
    REAL_ABOVE(data.key_state_weight, "1", 0, 1e6, "-", "How much more often training clips with a key state are drawn; the loss weighs them less, so that it estimates the same mean"),
    REAL(data.state_noise, "0", 0, 10, "deviations", "Noise added to the states of the training split, in units of their deviation"),

    STRINGS(data.augment.symmetries, "[]", 0, 3, WORDS("mirror_x", "mirror_y", "rotate"), "Turned copies of clips, with all that they make together: mirrors that swap the ends of x or of y, quarter turns; frames, states, vectors, actions turn together; refused where law or mesh has no such symmetry"),
    REAL(data.augment.brightness, "0", 0, 1, "-", "Largest shift of a clip's frames, of full brightness"),
    REAL(data.augment.contrast, "0", 0, 1, "-", "Largest change of a clip's contrast"),
    REAL(data.augment.frame_noise, "0", 0, 1, "-", "Deviation of noise on frames, of full brightness"),

    ENUM(physics.equation, "heat", model_equations, "The governing equation; none: no physics in the model"),
    MAP(physics.parameters, "{}", PARAMETERS, -MOST, MOST, "", "Starting values of the law's parameters as the model knows them; absent: 0, the term is not in the law"),
    STRINGS(physics.learn, "[]", 0, 16, PARAMETERS, "Parameters that are fitted to the data"),
    STRINGS(physics.field, "[]", 0, 16, PARAMETERS, "Learned parameters that have a value for each cell"),
    INT(physics.substeps, "1", 1, 64, "steps", "Implicit steps of the prior between two frames"),
    ENUM(physics.scheme, "backward_euler", schemes, "Time scheme of the prior; newmark is midpoint"),
    REAL(physics.tolerance, "0", 0, 1e-2, "of the state", "Newton's last update in the prior; 0: the number type's own"),
    INT(physics.identification.steps, "300", 0, MANY, "steps", "Optimisation steps; 0: none"),
    INT(physics.identification.batch, "16", 1, 4096, "transitions", "Transitions a step"),
    REAL_ABOVE(physics.identification.lr, "0.08", 0, 10, "-", "Learning rate of Adam, on logarithms of the parameters"),
    REAL(physics.identification.total_variation, "1.0e-4", 0, 1e3, "-", "Weight of the total variation of fields"),
    BOOL(physics.identification.freeze, "true", "Keep the fitted values while the network trains"),
    ENUM(physics.residual.norm, "dual", WORDS("dual", "lumped", "step"), "Norm of the residual: Riesz (independent of the mesh), lumped mass (cheap), error of the step"),
    MAP(physics.residual.field_weight, "{}", NULL, 0, 1e6, "-", "Weights of the law's fields in the physics loss, by name, each field's residual being in units of its own deviation; absent: 1, 0: left out"),
    INT(physics.residual.subset, "0", 0, MANY, "transitions", "Transitions of a batch that are judged, drawn at random; 0: all"),

    ENUM(model.kind, "world", WORDS("world", "points"), "world: frames and states; points: a generator or regressor of points (toys)"),
    INTS(model.points.widths, "[64, 64]", 1, 8, 1, 4096, "-", "Hidden widths of a network of points"),
    ENUM(model.points.head, "generator", WORDS("generator", "regressor"), "generator: fed with noise, trained by transport alone; regressor: by the squared error"),
    INT(model.points.noise, "2", 1, 64, "-", "Dimensions of a generator's noise, uniform on [-1,1]"),
    INT(model.points.draw, "128", 1, 4096, "points", "Points that a generator makes in a step; the batch is what they are compared with"),
    INTS(model.encoder.widths, "[32, 64, 128]", 3, 3, 1, 4096, "channels", "Channels at H/2, H/4, H/8"),
    BOOL(model.encoder.frame_tower, "true", "Look at the frame"),
    BOOL(model.encoder.physics_tower, "true", "Look at the cheap simulation's state"),
    ENUM(model.predictor.prior, "fem", WORDS("none", "fem"), "Next state before correction: the same state, or an implicit finite-element step"),
    INT(model.predictor.grid, "32", 4, 1024, "pixels", "Side of the correction's first level; pictures of twice the side are folded into it"),
    INTS(model.predictor.widths, "[24, 48, 48]", 1, 6, 1, 4096, "channels", "Channels of the correction at grid, grid/2, grid/4, ..."),
    BOOL(model.predictor.position_bias, "true", "A learned bias for each place of the grid, in every block"),
    INT(model.latent.size, "16", 1, 1024, "-", "Dimensions of z"),
    REAL(model.latent.min_log_std, "-5", -20, 20, "-", "Lower bound of the log-deviation"),
    REAL(model.latent.max_log_std, "2", -20, 20, "-", "Upper bound of the log-deviation"),
    REAL(model.latent.free_nats, "1", 0, 1e3, "nats", "KL below this is not penalised"),
    ENUM(model.latent.gate, "none", WORDS("none", "sheets"), "sheets: the sheet of the next code is decided first, and given to the network (transport.code state)"),
    INT(model.latent.classes, "16", 2, 64, "-", "Most sheets that the gate tells apart"),
    INT(model.decoder.width, "32", 1, 4096, "channels", "Channels at full resolution"),
    INT(model.groups, "8", 1, 256, "groups", "Groups of the group normalisation; every width is a multiple of it"),

    REAL(transport.weight, "0", 0, 1e6, "-", "Weight of the boundary regulariser; 0: it is not built"),
    REAL(transport.fit, "1", 0, 1e6, "-", "Part of the weight that the Sinkhorn divergence of a batch's codes has"),
    REAL(transport.edge, "3", 0, 1e6, "-", "Part of the weight that the edge term has: the pull of predictions between the sheets of the code manifold onto them"),
    ENUM(transport.form, "transport", WORDS("transport", "hinge"), "Where the edge term pulls to: the code that transport gives (keeps the sheets' masses), or the nearest codes (for a head without a distribution)"),
    ENUM(transport.code, "latent", WORDS("latent", "feature", "state"), "What is transported: the mean of Z(s,a), the features of s that Z computes, or s as a picture"),
    ENUM(transport.latent, "posterior", WORDS("posterior", "prior"), "Whose z makes the predictions that are judged; prior: one more run of the predictor"),
    INT(transport.size, "32", 1, 1024, "-", "Most dimensions of a code; longer ones are projected (fixed, random)"),
    REAL_ABOVE(transport.blur, "0.05", 0, 1e3, "-", "Blur of the Sinkhorn divergence, in units of the codes' deviation"),
    REAL(transport.scaling, "0.6", 0.1, 0.99, "-", "Ratio of successive blurs while annealing"),
    INT(transport.extra, "2", 0, 1000, "iterations", "Iterations at the final blur"),
    INT(transport.bank, "1024", 16, MANY, "codes", "Newest true codes that are kept: what sheets, scales and boundaries are seen on"),
    INT(transport.predictions, "256", 1, MANY, "codes", "Newest predictions that are kept, so that a small batch does not decide on the masses of sheets"),
    INT(transport.every, "50", 1, MANY, "steps", "Steps between two looks at the bank's geometry"),
    REAL(transport.context, "1", 0, 1e3, "-", "Weight of what a prediction was made from in the cost, both standardised; 0: it does not matter"),
    REAL(transport.relax, "0", 0, 1e6, "-", "Squared distance, in units of the codes' deviation, beyond which the edge term's transport rather misses a mass; 0: masses are met"),
    REAL(transport.share, "0.1", 0, 1, "-", "Share of the states that shall count as boundary"),
    REAL(transport.emphasis, "0", 0, 0.9, "-", "Emphasis with importance weights: the part of the training clips that is drawn by their boundary score, or, of points, of predictions by how far they are off the sheets; 0: none, as where transport.weight is 0"),
    REAL(transport.bind, "1", 0, 1e3, "-", "Weight of the gate's class in the cost, in units of the codes' deviation (model.latent.gate)"),
    REAL(transport.ramp_start, "0.0", 0, 1, "of training", "The divergence's weight is 0 before this"),
    REAL(transport.ramp_end, "0.1", 0, 1, "of training", "The divergence's weight is whole after this"),
    REAL(transport.edge_start, "0.25", 0, 1, "of training", "The edge term's weight is 0 before this"),
    REAL(transport.edge_end, "0.5", 0, 1, "of training", "The edge term's weight is whole after this"),

    REAL(objective.state, "1", 0, 1e6, "-", "Weight of the state loss"),
    REAL(objective.frame, "1", 0, 1e6, "-", "Weight of the frame loss"),
    REAL(objective.kl, "0.1", 0, 1e6, "-", "Weight of the KL divergence"),
    REAL(objective.physics, "0.1", 0, 1e6, "-", "Weight of the physics residual"),
    REAL(objective.start, "0.1", 0, 1e6, "-", "Weight of the state estimator's error at the first frame"),
    INTS(objective.unroll, "[1]", 1, 16, 1, 4096, "steps", "Horizons of the curriculum"),
    REALS(objective.unroll_start, "[0.0]", 1, 16, 0, 1, "of training", "When each horizon begins; the first is 0"),
    ENUM(objective.balance, "none", WORDS("none"), "Balancing of the weights"),
    REAL2(objective.kl_balance, "[1.0, 0.1]", 0, 1e3, "-", "Weights of the KL's two halves: towards the prior, towards the posterior"),

    ENUM(optimizer.name, "adamw", WORDS("adamw", "laprop", "sgd"), "Rule of the update: AdamW; LaProp, which normalises the gradient before it averages; gradient descent with momentum"),
    REAL_ABOVE(optimizer.lr, "1.0e-3", 0, 10, "-", "Learning rate at the top of the schedule"),
    REAL2(optimizer.betas, "[0.9, 0.999]", 0, 0.999999, "-", "Decay of the two moments (adamw, laprop)"),
    REAL(optimizer.momentum, "0.9", 0, 0.999999, "-", "Decay of the momentum (sgd)"),
    BOOL(optimizer.nesterov, "false", "Nesterov's momentum (sgd)"),
    REAL(optimizer.eps, "1.0e-8", 1e-30, 1, "-", "Added to the root of the second moment (adamw, laprop)"),
    REAL(optimizer.weight_decay, "1.0e-4", 0, 10, "-", "Decoupled weight decay"),
    REAL(optimizer.clip, "5", 0, 1e9, "-", "Largest norm of the gradient; 0: no limit"),
    REAL(optimizer.agc, "0", 0, 1e6, "-", "Adaptive clipping, before optimizer.clip: largest norm of a parameter's gradient as a fraction of the parameter's own norm; 0: no limit"),
    REAL(optimizer.ema, "0.995", 0, 0.999999, "-", "Decay of the moving average of the weights that evaluation uses"),

    MAP(optimizer.lr_factor, "{}", NULL, 0, 1e6, "-", "Factors on the learning rate of the parameters whose names match a pattern, such as {\"decoder/*\": 0.5}; those of several patterns are multiplied"),
    MAP(optimizer.decay_factor, "{}", NULL, 0, 1e6, "-", "Factors on the weight decay in the same way; biases and norms have none"),
    STRINGS(optimizer.frozen, "[]", 0, 64, NULL, "Parameters that keep their values, by patterns of names, such as [\"encoder/*\"]"),

    ENUM(schedule.name, "cosine", WORDS("cosine", "constant"), "Form after the warm-up"),
    INT(schedule.warmup, "100", 0, MANY, "steps", "Linear rise from 0"),
    REAL(schedule.final, "0.01", 0, 1, "-", "Learning rate at the end, as a fraction of the top"),

    INT(trainer.steps, "2000", 0, MANY, "steps", "Length of the run; 0: identification only, the network stays as it starts"),
    INT_OR("auto", trainer.threads, "auto", 1, 4096, "threads", "Threads of a process; auto: as many as it may use"),
    INT(trainer.eval_every, "500", 0, MANY, "steps", "Validate every N steps; 0: at the end only"),
    INT(trainer.save_every, "500", 0, MANY, "steps", "Save every N steps; 0: at the end only"),
    INT(trainer.log_every, "10", 1, MANY, "steps", "A line of metrics.jsonl every N steps"),
    INT(trainer.term_norms_every, "500", 0, MANY, "steps", "Log the gradient's norm of each term of the loss every N steps; 0: never"),
    ENUM(trainer.isa, "auto", WORDS("auto", "x86-64", "avx2", "avx512"), "Instruction set of the kernels; auto: the best that the machine has"),
    ENUM(trainer.plan, "rule", WORDS("rule", "measure"), "How kernels are chosen where several can run a shape: by rules, or by time, measured once and kept in the run's folder"),
    STRING(trainer.memory, "none", "Memory that a run may take, such as 2GiB or 750MB: activations are computed again to keep to it; none: as it comes"),

    ENUM(eval.split, "test", WORDS("train", "validation", "test", "test_ood"), "Split that `fwm eval` measures"),
    INT(eval.horizon, "20", 1, 100000, "steps", "Steps of an open-loop rollout"),
    ENUM(eval.start, "state", WORDS("state", "frame"), "What a rollout starts from: the true state, or a frame and the cheap simulation alone"),
    INT(eval.samples, "1", 1, 1024, "rollouts", "Rollouts for each trajectory; 1: the mean of z, more: drawn"),
    INT(eval.trajectories, "0", 0, MANY, "trajectories", "Use the first N of the split, in training those of the validation split; 0: all"),
    INTS(eval.horizons, "[1, 5, 10, 20]", 1, 32, 1, 100000, "steps", "Horizons that the report names"),

    ENUM(export.format, "safetensors", WORDS("safetensors"), "Format"),
    ENUM(export.weights, "ema", WORDS("ema", "last"), "Moving average, or the last step's weights"),
};
/* clang-format on */
const int tr_config_row_count = sizeof tr_config_rows / sizeof *tr_config_rows;

const tr_row *tr_row_find(const char *path)
{
    for (int i = 0; i < tr_config_row_count; i++)
        if (strcmp(tr_config_rows[i].path, path) == 0)
            return &tr_config_rows[i];
    return NULL;
}

const tr_block *tr_block_find(const char *path)
{
    for (int i = 0; i < tr_config_block_count; i++)
        if (strcmp(tr_config_blocks[i].path, path) == 0)
            return &tr_config_blocks[i];
    return NULL;
}

int tr_choice_find(const char *const *choices, const char *word)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(choices[i], word) == 0)
            return i;
    return -1;
}

const char *tr_config_word(const char *path, int choice)
{
    const tr_row *row = tr_row_find(path);
    if (row == NULL || row->choices == NULL)
        return NULL;
    for (int i = 0; row->choices[i] != NULL; i++)
        if (i == choice)
            return row->choices[i];
    return NULL;
}

/* ---- what a row expects, in words ---- */
static void number_range(const tr_row *row, const char *noun, char *buf, size_t capacity)
{
    char low[TR_REAL_CAPACITY], high[TR_REAL_CAPACITY];
    tr_real_format(row->min, low);
    tr_real_format(row->max, high);
    if (row->above)
        (void)snprintf(buf, capacity, "%s above %s and at most %s", noun, low, high);
    else
        (void)snprintf(buf, capacity, "%s from %s to %s", noun, low, high);
}

static void choice_list(const char *const *choices, char *buf, size_t capacity)
{
    size_t n = 0;
    buf[0] = '\0';
    for (int i = 0; choices[i] != NULL && n < capacity; i++)
        n += (size_t)snprintf(buf + n, capacity - n, "%s%s", i > 0 ? ", " : "", choices[i]);
}

void tr_row_expected(const tr_row *row, char *buf, size_t capacity)
{
    char inner[200] = "";
    const bool whole = row->type == TR_TYPE_INT || row->type == TR_TYPE_INTS;
    const bool single = row->type == TR_TYPE_INT || row->type == TR_TYPE_REAL ? row->count == 1 : false;
    if (row->type == TR_TYPE_RECORDS)
        inner[0] = '\0';
    else if (row->choices != NULL)
        choice_list(row->choices, inner, sizeof inner);
    else if (row->type == TR_TYPE_STRINGS)
        (void)snprintf(inner, sizeof inner, "up to %lld strings", (long long)row->count);
    else
        number_range(row, single ? (whole ? "an integer" : "a number") : (whole ? "integers" : "numbers"), inner,
                     sizeof inner);
    switch (row->type) {
    case TR_TYPE_BOOL:
        (void)snprintf(buf, capacity, "true or false");
        break;
    case TR_TYPE_STRING:
        (void)snprintf(buf, capacity, "a string");
        break;
    case TR_TYPE_INT:
    case TR_TYPE_REAL:
        if (single)
            (void)snprintf(buf, capacity, "%s%s%s", inner, row->word != NULL ? ", or " : "",
                           row->word != NULL ? row->word : "");
        else
            (void)snprintf(buf, capacity, "a list of %lld %s%s", (long long)row->count, inner,
                           row->ordered ? ", the smaller first" : "");
        break;
    case TR_TYPE_ENUM:
        (void)snprintf(buf, capacity, "%s%s", row->choices[1] != NULL ? "one of " : "", inner);
        break;
    case TR_TYPE_INTS:
    case TR_TYPE_REALS:
        if (row->at_least == row->count)
            (void)snprintf(buf, capacity, "a list of %lld %s", (long long)row->count, inner);
        else
            (void)snprintf(buf, capacity, "a list of %lld to %lld %s", (long long)row->at_least, (long long)row->count,
                           inner);
        break;
    case TR_TYPE_STRINGS:
        (void)snprintf(buf, capacity, "a list %s %s", row->choices != NULL ? "out of" : "of", inner);
        break;
    case TR_TYPE_MATRIX:
        (void)snprintf(buf, capacity, "a list of rows of %lld %s", (long long)row->count, inner);
        break;
    case TR_TYPE_MAP:
        if (row->choices != NULL)
            (void)snprintf(buf, capacity, "a mapping from %s to numbers", inner);
        else
            (void)snprintf(buf, capacity, "a mapping from names to %s", inner);
        break;
    case TR_TYPE_RECORDS: {
        size_t n = (size_t)snprintf(buf, capacity, "a list of up to %lld mappings of", (long long)row->count);
        for (const tr_row *m = row->members; m->path != NULL && n < capacity; m++)
            n += (size_t)snprintf(buf + n, capacity - n, "%s %s", m == row->members ? "" : ",", m->path);
        break;
    }
    }
}
