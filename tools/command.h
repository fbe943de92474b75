/* What a command of the program is, and what it is given.
 *
 * One file a command: tools/commands/NAME.c exports
 *
 *     const fwm_command fwm_command_NAME = {...};          text and options: data alone
 *     fwm_status fwm_run_NAME(fwm_call *call);             the work
 *
 * and the build lists it. The descriptor holds no pointer to code on purpose: the program is two executables, `fwm`,
 * which answers help and refuses wrong usage within milliseconds, and `fwm-engine`, which is loaded with every library
 * (some 110 shared objects) and does the work. Both link the descriptors, only the second links the work.
 *
 * Exit status: 0 done; 1 it ran and failed (fwm_run_NAME returned an error, its message goes to standard error); 2 used
 * wrongly (fwm_misuse, unknown options, missing arguments). Text for people goes to standard error (fwm_log), results
 * to standard output; with --json the result is exactly one JSON object (fwm_print_json). A fwm_call belongs to the
 * caller. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "model/base/status.h"

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct fwm_command {
    const char *name;
    const char *summary;               /* one line, no full stop: the list of `fwm help` */
    const char *arguments;             /* "CONFIG [NAME...]", "" where there are none */
    const char *doc;                   /* paragraphs of `fwm help NAME` */
    const struct argp_option *options; /* own ones, ended by {0}; NULL: none. Long names; arg non-NULL: takes a value */
    int min_arguments, max_arguments;  /* max_arguments -1: any number */
    bool light;                        /* true: answered by the small executable (help) */
} fwm_command;

/* What the user typed. Every command also has --json, -q/--quiet, -v/--verbose. */
typedef struct fwm_call {
    const fwm_command *command;
    const char *const *arguments; /* argument_count of them, options taken out */
    int argument_count;
    bool json;
    bool misused; /* set by fwm_misuse */
    struct fwm_given_option {
        const char *name, *value; /* long name; value NULL for a flag */
    } * options;                  /* in the order given */
    int option_count;
} fwm_call;

/* Was --NAME given? */
bool fwm_call_has(const fwm_call *call, const char *name);

/* The last value given to --NAME; `otherwise` where it was not given. */
const char *fwm_call_text(const fwm_call *call, const char *name, const char *otherwise);

/* All values given to --NAME, in order: fills at most `capacity`, returns how many there are. */
int fwm_call_texts(const fwm_call *call, const char *name, int capacity, const char **values);

/* --NAME as a number within [min, max]; *out keeps its value where the option was not given. Misuse otherwise. */
fwm_status fwm_call_int(fwm_call *call, const char *name, int64_t min, int64_t max, int64_t *out) FWM_MUST_USE;
fwm_status fwm_call_real(fwm_call *call, const char *name, double min, double max, double *out) FWM_MUST_USE;

/* Marks the call as used wrongly (exit status 2) and returns FWM_INVALID with the message. */
fwm_status fwm_misuse(fwm_call *call, const char *fmt, ...) FWM_PRINTF(2, 3);

/* Prints `object` to standard output as one line of JSON and drops the reference. NULL is an error (memory). */
fwm_status fwm_print_json(json_t *object) FWM_MUST_USE;

/* json_real, but null for NaN and infinity. */
json_t *fwm_json_number(double value);

/* Every command's two symbols, declared. */
#define X(name)                                                                                                        \
    extern const fwm_command fwm_command_##name;                                                                       \
    fwm_status fwm_run_##name(fwm_call *call);
#include "commands.def" /* made by the build */
#undef X

/* Known commands, in alphabetical order. */
int fwm_command_count(void);
const fwm_command *fwm_command_at(int i);
const fwm_command *fwm_command_find(const char *name);

/* Prints usage, options and text of a command to standard output. */
void fwm_print_help(const fwm_command *command);

/* Parses the command line, hands the call to `run` where nothing is wrong with it, and returns the exit status. argv:
 * the command's name and what follows it, as typed. */
typedef fwm_status fwm_runner(fwm_call *call, int argc, char **argv);
int fwm_main(int argc, char **argv, fwm_runner *run);

#endif
