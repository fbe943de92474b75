/* The command line: parsing, help, exit status. Both executables are made of it: see command.h. */
#include "model/base/arena.h"
#include "model/base/log.h"
#include "model/base/nearest.h"
#include "tools/command.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSED = 2 };
enum { KEY_FIRST = 1000, NAME_CAPACITY = 64 };

static const struct argp_option common_options[] = {
    {.name = "json", .doc = "Print the result as one JSON object", .group = 90},
    {.name = "quiet", .key = 'q', .doc = "Print errors and warnings only", .group = 90},
    {.name = "verbose", .key = 'v', .doc = "Print more", .group = 90},
    {.name = "help", .key = 'h', .doc = "Print this help", .group = 91},
    {0},
};

/* ---- the commands ---- */
static const fwm_command *const commands[] = {
#define X(name) &fwm_command_##name,
#include "commands.def"
#undef X
};

int fwm_command_count(void)
{
    return (int)(sizeof commands / sizeof *commands);
}

const fwm_command *fwm_command_at(int i)
{
    return commands[i];
}

const fwm_command *fwm_command_find(const char *name)
{
    for (int i = 0; i < fwm_command_count(); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* ---- what was given ---- */
bool fwm_call_has(const fwm_call *call, const char *name)
{
    for (int i = 0; i < call->option_count; i++)
        if (strcmp(call->options[i].name, name) == 0)
            return true;
    return false;
}

const char *fwm_call_text(const fwm_call *call, const char *name, const char *otherwise)
{
    const char *value = otherwise;
    for (int i = 0; i < call->option_count; i++)
        if (strcmp(call->options[i].name, name) == 0)
            value = call->options[i].value;
    return value;
}

int fwm_call_texts(const fwm_call *call, const char *name, int capacity, const char **values)
{
    int n = 0;
    for (int i = 0; i < call->option_count; i++)
        if (strcmp(call->options[i].name, name) == 0) {
            if (n < capacity)
                values[n] = call->options[i].value;
            n++;
        }
    return n;
}

fwm_status fwm_misuse(fwm_call *call, const char *fmt, ...)
{
    char text[FWM_ERROR_CAPACITY];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    call->misused = true;
    return fwm_fail(FWM_INVALID, "%s", text);
}

fwm_status fwm_call_int(fwm_call *call, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const char *text = fwm_call_text(call, name, NULL);
    if (text == NULL)
        return FWM_OK;
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return fwm_misuse(call, "--%s: expected an integer from %lld to %lld, found \"%s\"", name, (long long)min,
                          (long long)max, text);
    *out = value;
    return FWM_OK;
}

fwm_status fwm_call_real(fwm_call *call, const char *name, double min, double max, double *out)
{
    const char *text = fwm_call_text(call, name, NULL);
    if (text == NULL)
        return FWM_OK;
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        return fwm_misuse(call, "--%s: expected a number from %g to %g, found \"%s\"", name, min, max, text);
    *out = value;
    return FWM_OK;
}

json_t *fwm_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

fwm_status fwm_print_json(json_t *object)
{
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(object);
    FWM_CHECK(text != NULL, FWM_MEMORY, "no memory for the result as JSON");
    (void)printf("%s\n", text);
    free(text);
    return FWM_OK;
}

/* ---- parsing ---- */
typedef struct parsing {
    fwm_call *call;
    struct argp_option *options; /* the command's own and the common ones, each with a key, ended by {0} */
    const char **arguments;
} parsing;

static int count_options(const struct argp_option *options)
{
    int n = 0;
    while (options != NULL && (options[n].name != NULL || options[n].doc != NULL))
        n++;
    return n;
}

/* Own options and common ones in one array from fwm_calloc; NULL when memory is out. */
static struct argp_option *join_options(const fwm_command *command)
{
    const int own = count_options(command->options), common = count_options(common_options);
    struct argp_option *all = fwm_calloc((size_t)(own + common + 1), sizeof *all);
    for (int i = 0; i < own + common && all != NULL; i++) {
        all[i] = i < own ? command->options[i] : common_options[i - own];
        if (all[i].key == 0 && all[i].name != NULL)
            all[i].key = KEY_FIRST + i;
    }
    return all;
}

static error_t take(int key, char *value, struct argp_state *state)
{
    parsing *p = state->input;
    fwm_call *call = p->call;
    if (key == ARGP_KEY_ARG) {
        p->arguments[call->argument_count++] = value;
        return 0;
    }
    for (const struct argp_option *o = p->options; o->name != NULL || o->doc != NULL; o++)
        if (o->key == key && o->name != NULL) {
            call->options[call->option_count].name = o->name;
            call->options[call->option_count++].value = value;
            return 0;
        }
    return ARGP_ERR_UNKNOWN;
}

static const struct argp_option *find_option(const struct argp_option *options, const char *name, size_t length)
{
    for (const struct argp_option *o = options; o->name != NULL || o->doc != NULL; o++)
        if (o->name != NULL && strncmp(o->name, name, length) == 0 && o->name[length] == '\0')
            return o;
    return NULL;
}

static fwm_status refuse_option(fwm_call *call, const struct argp_option *options, const char *name, size_t length)
{
    char word[NAME_CAPACITY];
    (void)snprintf(word, sizeof word, "%.*s", (int)(length < 60 ? length : 60), name);
    fwm_nearest nearest;
    fwm_nearest_start(&nearest, word);
    for (const struct argp_option *o = options; o->name != NULL || o->doc != NULL; o++)
        if (o->name != NULL)
            fwm_nearest_offer(&nearest, o->name);
    const bool near = fwm_nearest_found(&nearest);
    return fwm_misuse(call, "unknown option --%s%s%s%s", word, near ? "; did you mean --" : "",
                      near ? nearest.best : "", near ? "?" : "");
}

/* One word of the command line that begins with a dash; *value: the next word is its value. */
static fwm_status check_option(fwm_call *call, const struct argp_option *options, const char *word, bool *value)
{
    *value = false;
    if (word[1] == '-') {
        const size_t length = strcspn(word + 2, "=");
        const bool given = word[2 + length] == '=';
        const struct argp_option *o = find_option(options, word + 2, length);
        if (o == NULL)
            return refuse_option(call, options, word + 2, length);
        if (o->arg == NULL && given)
            return fwm_misuse(call, "--%s: expected no value, found \"%s\"", o->name, word + 3 + length);
        *value = o->arg != NULL && !given && (o->flags & OPTION_ARG_OPTIONAL) == 0;
        return FWM_OK;
    }
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        const struct argp_option *o = options;
        while ((o->name != NULL || o->doc != NULL) && o->key != *letter)
            o++;
        if (o->name == NULL && o->doc == NULL)
            return fwm_misuse(call, "unknown option -%c", *letter);
        if (o->arg != NULL) { /* the rest of the word is its value, or the next word */
            *value = letter[1] == '\0' && (o->flags & OPTION_ARG_OPTIONAL) == 0;
            return FWM_OK;
        }
    }
    return FWM_OK;
}

/* What argp would refuse is refused here, in our words. Long options are given whole: getopt would take any unambiguous
 * beginning, and an option added later would break the scripts that rely on it. */
static fwm_status check_options(fwm_call *call, const struct argp_option *options, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool value = false;
        if (argv[i][0] != '-' || argv[i][1] == '\0')
            continue;
        FWM_TRY(check_option(call, options, argv[i], &value));
        if (value && ++i == argc)
            return fwm_misuse(call, "%s: expected a value after it", argv[i - 1]);
    }
    return FWM_OK;
}

static fwm_status check_count(fwm_call *call)
{
    const fwm_command *c = call->command;
    const char *wanted = c->arguments[0] != '\0' ? c->arguments : "no arguments";
    if (call->argument_count < c->min_arguments || (c->max_arguments >= 0 && call->argument_count > c->max_arguments))
        return fwm_misuse(call, "expected %s, found %d argument%s", wanted, call->argument_count,
                          call->argument_count == 1 ? "" : "s");
    return FWM_OK;
}

static void print_command_help(const fwm_command *command, struct argp_option *options, FILE *stream)
{
    char name[NAME_CAPACITY];
    (void)snprintf(name, sizeof name, "fwm %s", command->name);
    const struct argp argp = {.options = options, .args_doc = command->arguments, .doc = command->doc};
    argp_help(&argp, stream, ARGP_HELP_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG | ARGP_HELP_POST_DOC, name);
}

void fwm_print_help(const fwm_command *command)
{
    struct argp_option *options = join_options(command);
    if (options != NULL)
        print_command_help(command, options, stdout);
    fwm_free(options);
}

/* ---- the program ---- */
static void print_errors(const char *message)
{
    while (*message != '\0') { /* a log message is one line; a configuration's errors are several */
        const size_t length = strcspn(message, "\n");
        fwm_log(FWM_LOG_ERROR, "%.*s", (int)length, message);
        message += length + (message[length] != '\0');
    }
}

static int status_of(const fwm_call *call, fwm_status status)
{
    if (status == FWM_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = fwm_fail(FWM_IO, "standard output cannot be written: %s", strerror(errno));
    if (status == FWM_OK)
        return EXIT_DONE;
    print_errors(fwm_error_message()[0] != '\0' ? fwm_error_message() : fwm_status_text(status));
    if (!call->misused)
        return EXIT_FAILED;
    fwm_log(FWM_LOG_ERROR, "see `fwm help%s%s`", call->command != NULL ? " " : "",
            call->command != NULL ? call->command->name : "");
    return EXIT_MISUSED;
}

/* argv[0] is the command's name here. */
static fwm_status run_command(fwm_call *call, int argc, char **argv, fwm_runner *run)
{
    fwm_status status = FWM_OK;
    parsing p = {.call = call, .options = join_options(call->command)};
    p.arguments = fwm_calloc((size_t)argc + 1, sizeof *p.arguments);
    call->options = fwm_calloc((size_t)argc + 1, sizeof *call->options);
    FWM_CHECK_GOTO(status, p.options != NULL && p.arguments != NULL && call->options != NULL, FWM_MEMORY,
                   "no memory for the command line");
    call->arguments = p.arguments;
    FWM_TRY_GOTO(status, check_options(call, p.options, argc, argv));
    /* getopt permutes what it is given: `run` gets the command line as it was typed. */
    char **shuffled = fwm_calloc((size_t)argc + 1, sizeof *shuffled);
    FWM_CHECK_GOTO(status, shuffled != NULL, FWM_MEMORY, "no memory for the command line");
    memcpy(shuffled, argv, (size_t)argc * sizeof *argv);
    char name[NAME_CAPACITY];
    (void)snprintf(name, sizeof name, "fwm %s", call->command->name);
    shuffled[0] = name;
    const struct argp argp = {.options = p.options, .parser = take};
    const error_t error = argp_parse(&argp, argc, shuffled, ARGP_NO_EXIT | ARGP_NO_HELP | ARGP_NO_ERRS, NULL, &p);
    fwm_free(shuffled);
    if (error != 0) {
        status = fwm_misuse(call, "expected options of `fwm %s` with their values, found something else",
                            call->command->name);
        goto done;
    }
    if (fwm_call_has(call, "help")) {
        print_command_help(call->command, p.options, stdout);
        goto done;
    }
    call->json = fwm_call_has(call, "json");
    if (fwm_call_has(call, "quiet"))
        fwm_log_set_level(FWM_LOG_WARN);
    if (fwm_call_has(call, "verbose"))
        fwm_log_set_level(FWM_LOG_DEBUG);
    FWM_TRY_GOTO(status, check_count(call));
    FWM_TRY_GOTO(status, run(call, argc, argv));
done:
    fwm_free(p.options);
    return status;
}

static fwm_status refuse_command(fwm_call *call, const char *name)
{
    fwm_nearest nearest;
    fwm_nearest_start(&nearest, name);
    for (int i = 0; i < fwm_command_count(); i++)
        fwm_nearest_offer(&nearest, commands[i]->name);
    const bool near = fwm_nearest_found(&nearest);
    return fwm_misuse(call, "unknown %s %.60s%s%s%s", name[0] == '-' ? "option" : "command", name,
                      near ? "; did you mean " : "", near ? nearest.best : "", near ? "?" : "");
}

int fwm_main(int argc, char **argv, fwm_runner *run)
{
    fwm_call call = {0};
    fwm_status status;
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name != NULL && (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)) {
        (void)printf("fwm %s\n", FWM_VERSION);
        return status_of(&call, FWM_OK);
    }
    if (name != NULL && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0))
        name = "help";
    if (name == NULL) {
        status = fwm_misuse(&call, "expected a command");
    } else {
        call.command = fwm_command_find(name);
        status = call.command != NULL ? run_command(&call, argc - 1, argv + 1, run) : refuse_command(&call, name);
    }
    const int result = status_of(&call, status);
    fwm_free(call.options);
    fwm_free((void *)call.arguments);
    return result;
}
