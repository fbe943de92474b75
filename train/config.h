/* The configuration of an experiment: YAML in, plain C structures out.
 *
 * One table (config_table.c) holds for each key its path, type, place in these structures, range, unit, default,
 * choices and help; the parser, the JSON Schema, `fwm help config` and the resolved dump all come from it. Parsing is
 * strict: an unknown, repeated or missing key, a wrong type, a value out of range, an anchor, an alias, a tag, a merge
 * key or a second document is an error with file, line, column, what was expected and what was found; up to 20 are
 * collected. Layers, each over the one before: defaults, the files of `include:`, the file, --set, and a variant's
 * overrides. Lists and matrices replace, maps merge.
 *
 * Invariant: a tr_config that a function here returned has passed the table and the rules between keys.
 * Ownership: all memory, strings included, belongs to the configuration's arena and dies with tr_config_destroy. */
#ifndef TRAIN_CONFIG_H
#define TRAIN_CONFIG_H

#include "model/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct tr_ints {
    int64_t count, *items;
} tr_ints;
typedef struct tr_reals {
    int64_t count;
    double *items;
} tr_reals;
typedef struct tr_strings {
    int64_t count;
    const char **items;
} tr_strings;
typedef struct tr_matrix { /* items[row * columns + column] */
    int64_t rows, columns;
    double *items;
} tr_matrix;
typedef struct tr_map { /* in the order given */
    int64_t count;
    struct tr_named_real {
        const char *name;
        double value;
        const char *file; /* where it was given */
        int line, column;
    } * items;
} tr_map;

typedef struct tr_place { /* line and column count from 1 */
    const char *file;
    int line, column;
} tr_place;
typedef struct tr_records { /* mappings of one kind: items is an array of its structure, which begins with a tr_place */
    int64_t count;
    void *items;
} tr_records;

/* Choices, stored as int: the position of the word in the table's list. */
enum tr_cell { TR_TRIANGLE, TR_QUADRILATERAL, TR_TETRAHEDRON, TR_HEXAHEDRON };
enum tr_space { TR_P1, TR_P2, TR_Q1, TR_Q2 };
enum tr_layout {
    TR_LAYOUT_AUTO,
    TR_LAYOUT_FWM,
    TR_LAYOUT_WELL,
    TR_LAYOUT_PDEBENCH,
    TR_LAYOUT_ROBOMIMIC,
    TR_LAYOUT_GENERIC
};
enum tr_equation { /* as in physics/forms, after none */
                   TR_EQUATION_NONE,
#define X(name) TR_EQUATION_##name,
#include "forms.def"
#undef X
};
enum tr_scheme { TR_BACKWARD_EULER, TR_MIDPOINT, TR_NEWMARK, TR_BDF2, TR_GENERALISED_ALPHA };
enum tr_spread { TR_SPREAD_UNIFORM, TR_SPREAD_LOGARITHMIC };
enum tr_profile { TR_PROFILE_CONSTANT, TR_PROFILE_PARABOLIC };
enum tr_control { TR_CONTROL_CONSTANT, TR_CONTROL_HELD, TR_CONTROL_SMOOTH };
enum tr_norm { TR_NORM_DUAL, TR_NORM_LUMPED, TR_NORM_STEP };
enum tr_prior { TR_PRIOR_NONE, TR_PRIOR_FEM };
enum tr_code { TR_CODE_LATENT, TR_CODE_FEATURE, TR_CODE_STATE };
enum tr_model_kind { TR_MODEL_WORLD, TR_MODEL_POINTS };
enum tr_head { TR_HEAD_GENERATOR, TR_HEAD_REGRESSOR };
enum tr_gate { TR_GATE_NONE, TR_GATE_SHEETS };
enum tr_toy { TR_TOY_NONE, TR_TOY_DISCS, TR_TOY_MOONS, TR_TOY_GAUSSIANS, TR_TOY_LINE, TR_TOY_DUFFING };
enum tr_edge_form { TR_EDGE_TRANSPORT, TR_EDGE_HINGE };
enum tr_latent_source { TR_FROM_POSTERIOR, TR_FROM_PRIOR };
enum tr_balance { TR_BALANCE_NONE };
enum tr_optimizer_name { TR_ADAMW, TR_LAPROP, TR_SGD }; /* as tr_rule */
enum tr_schedule_name { TR_COSINE, TR_CONSTANT };
enum tr_plan { TR_PLAN_RULE, TR_PLAN_MEASURE };
enum tr_isa { TR_ISA_AUTO, TR_ISA_X86_64, TR_ISA_AVX2, TR_ISA_AVX512 };
enum tr_split { TR_SPLIT_TRAIN, TR_SPLIT_VALIDATION, TR_SPLIT_TEST, TR_SPLIT_TEST_OOD };
enum tr_start { TR_START_STATE, TR_START_FRAME };
enum tr_export_format { TR_EXPORT_SAFETENSORS };
enum tr_export_weights { TR_EXPORT_EMA, TR_EXPORT_LAST };

/* ---- records ---- */
typedef struct tr_condition { /* on a named boundary: essential for a field, or natural by name */
    tr_place place;
    const char *boundary, *field, *natural, *action;
    double value, gain;
    int profile;
} tr_condition;
typedef struct tr_load { /* driven by an action: a square of the domain, or a boundary */
    tr_place place;
    const char *action, *field, *boundary;
    double at[2], half_width, power;
} tr_load;
typedef struct tr_field_start { /* of one field: mean + Gaussian random field + blobs */
    tr_place place;
    const char *field;
    double mean[2], deviation[2], correlation_length[2];
    int64_t blobs[2];
    double blob_value[2], blob_radius[2];
} tr_field_start;

typedef struct tr_region { /* a parameter of the truth in a named region of the mesh */
    tr_place place;
    const char *region, *parameter;
    double value;
} tr_region;
typedef struct tr_random { /* a parameter of the truth, drawn for each trajectory */
    tr_place place;
    const char *parameter;
    double range[2], ood_range[2]; /* ood [0, 0]: the same */
    int spread;                    /* TR_SPREAD_* */
    int64_t discs[2];
    double radius[2];
} tr_random;

typedef struct tr_config {
    const char *experiment; /* a file name */
    int64_t seed;
    struct {
        int64_t train, validation, test, test_ood; /* trajectories */
        int64_t steps, warmup;                     /* frames a trajectory, the start included; before it */
        double dt;                                 /* between frames */
        int64_t substeps, nominal_substeps;
        int cell, space;
        tr_ints cells; /* x, y, and of cells in space z */
        tr_reals size;
        tr_strings periodic;          /* x, y */
        const char *mesh, *mesh_hash; /* a gmsh file; "": a box. XXH64 of the file, "": any */
        int64_t refine;
        tr_ints coarse_cells;
        int64_t frame[2];     /* height, width */
        int equation;         /* position in physics/forms */
        int nominal_equation; /* 0: the same, else 1 + its position */
        int scheme;
        double spectral_radius, tolerance, adaptive;
        tr_map truth, nominal;
        tr_records regions, random;          /* tr_region, tr_random */
        tr_records conditions, loads, start; /* tr_condition, tr_load, tr_field_start */
        const char *frame_field;             /* "": the first component */
        bool deformed;                       /* frames show the body where it is */
        double margin[2], cut;               /* x, y; where frames cut a box in space */
        int cut_across;                      /* x, y, z */
        tr_matrix inclusions;                /* value, x, y, radius */
        const char *inclusion_of;            /* a parameter; "": the first that may vary */
        tr_matrix sources;                   /* x, y */
        double source_half_width, source_power;
        double power[2], ood_power[2]; /* factors on source_power */
        int64_t hold[2];               /* frames */
        double on_probability;
        int control, ambient_control;
        double ambient[2], ood_ambient[2], correlation_length[2], deviation[2], offset[2], frame_range[2];
        double key_rate;
        double vignetting, noise;
        bool compress;
        int toy;
        int64_t toy_dimensions;
        double toy_share;
    } simulate;
    struct {
        const char *file;
        int layout;
        const char *frames, *state, *actions;
        tr_strings fields; /* channels of the state */
        int split;
        int edges;
        int across;   /* axis of a grid of three */
        double plane; /* where on it, of its length */
        double dt;
        const char *draw;
        int64_t frame[2];
        double frame_range[2];
        int64_t coarsen;
        struct {
            tr_strings symmetries;
            double brightness, contrast, frame_noise;
        } augment;
        int64_t clip, batch, context, prefetch, trajectories;
        double state_noise, key_state_weight;
    } data;
    struct {
        int equation;
        tr_map parameters;
        tr_strings learn, field;
        int64_t substeps;
        int scheme;
        double tolerance; /* 0: the type's own */
        struct {
            int64_t steps, batch;
            double lr, total_variation;
            bool freeze;
        } identification;
        struct {
            int norm;
            int64_t subset;
            tr_map field_weight; /* of the law's fields; absent: 1 */
        } residual;
    } physics;
    struct {
        int kind;
        struct {
            tr_ints widths;
            int head;
            int64_t noise, draw;
        } points;
        struct {
            tr_ints widths;
            bool frame_tower, physics_tower;
        } encoder;
        struct {
            int prior;
            int64_t grid;
            tr_ints widths; /* at grid, grid / 2, grid / 4, ... */
            bool position_bias;
        } predictor;
        struct {
            int64_t size;
            double min_log_std, max_log_std, free_nats;
            int gate;
            int64_t classes;
        } latent;
        struct {
            int64_t width;
        } decoder;
        int64_t groups;
    } model;
    struct {
        double weight, fit, edge;
        int code, form, latent;
        int64_t size;
        double blur, scaling;
        int64_t extra;
        double ramp_start, ramp_end, edge_start, edge_end; /* fractions of training */
        int64_t bank, predictions, every;
        double context, relax, share, emphasis, bind;
    } transport;
    struct {
        double state, frame, kl, physics, start;
        tr_ints unroll;
        tr_reals unroll_start; /* fraction of training at which unroll[i] begins */
        int balance;
        double kl_balance[2];
    } objective;
    struct {
        int name;
        double lr, betas[2], momentum, eps, weight_decay, clip, agc, ema;
        bool nesterov;
        tr_map lr_factor, decay_factor; /* by pattern of parameters' names */
        tr_strings frozen;              /* patterns */
    } optimizer;
    struct {
        int name;
        int64_t warmup;
        double final; /* fraction of lr at the end */
    } schedule;
    struct {
        int64_t steps, threads; /* threads 0: all */
        int64_t eval_every, save_every, log_every, term_norms_every;
        int isa;
        const char *memory; /* a size, or none: tr_bytes_parse */
        int plan;           /* enum tr_plan */
    } trainer;
    struct {
        int split, start;
        int64_t horizon, samples, trajectories;
        tr_ints horizons;
    } eval;
    struct {
        int format, weights;
    } export;
    tr_strings variants; /* names, in the order given */

    struct tr_config_own *own; /* arena, origins of values, variants' overrides */
} tr_config;

/* Loads a file. sets: texts "a.b=c". On failure the message has every error found, one a line, each
 * "file:line:column: path: expected ..., found ...[; did you mean ...?]". Errors: FWM_CONFIG, FWM_IO, FWM_MEMORY. */
fwm_status tr_config_load(tr_config **out, const char *file, const char *const *sets, int64_t set_count) FWM_MUST_USE;

/* The same for text in memory (a checkpoint's); includes are looked for relative to `name`. */
fwm_status tr_config_parse(tr_config **out, const char *text, size_t size, const char *name, const char *const *sets,
                           int64_t set_count) FWM_MUST_USE;

/* A new configuration: `config` with the overrides of variant `name`, and without variants. Error: FWM_CONFIG
 * (unknown). */
fwm_status tr_config_variant(const tr_config *config, const char *name, tr_config **out) FWM_MUST_USE;

void tr_config_destroy(tr_config *config);

/* The resolved whole as YAML, each key with its help, unit, range and default as a comment; reads back to the same
 * values (reals with as many digits as that takes). *text is freed by fwm_free. */
fwm_status tr_config_dump(const tr_config *config, char **text) FWM_MUST_USE;

/* The resolved whole as JSON (without variants). */
fwm_status tr_config_json(const tr_config *config, json_t **out) FWM_MUST_USE;

/* JSON Schema (draft 7) for editors; configs/schema.json is `fwm help config --json`. */
fwm_status tr_config_schema(json_t **out) FWM_MUST_USE;

/* Help for a key or a block ("" for all): *text is freed by fwm_free. Error: FWM_CONFIG (unknown, with the nearest). */
fwm_status tr_config_help(const char *path, char **text) FWM_MUST_USE;

/* A size such as "2GiB", "1.5 GB" or "750000 B" (powers of 1024 with an i, of 1000 without); "none" gives 0. False
 * where the text is anything else, or the size is below one byte or above 2^60. */
bool tr_bytes_parse(const char *text, size_t *bytes);

/* The word of a choice: tr_config_word("physics.equation", TR_EQUATION_heat) is "heat"; NULL outside the table. */
const char *tr_config_word(const char *path, int choice);

#endif
