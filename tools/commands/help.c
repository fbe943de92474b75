#include "model/base/arena.h"
#include "model/base/nearest.h"
#include "tools/command.h"
#include "train/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const fwm_command fwm_command_help = {
    .name = "help",
    .summary = "explain the program, a command, or the configuration",
    .arguments = "[COMMAND | config [KEY]]",
    .doc = "Explains a command, or a key or block of the configuration (`fwm help config physics`).\v"
           "With --json: the commands, a command's options, or the configuration's JSON Schema, which editors take for "
           "completion (configs/schema.json is this output).",
    .min_arguments = 0,
    .max_arguments = 2,
    .light = true,
};

static json_t *options_json(const fwm_command *command)
{
    json_t *list = json_array();
    for (const struct argp_option *o = command->options; o != NULL && (o->name != NULL || o->doc != NULL); o++)
        if (o->name != NULL)
            (void)json_array_append_new(list,
                                        json_pack("{s:s,s:s?,s:s?}", "name", o->name, "value", o->arg, "doc", o->doc));
    return list;
}

static json_t *command_json(const fwm_command *command, bool whole)
{
    json_t *object = json_pack("{s:s,s:s}", "name", command->name, "summary", command->summary);
    if (whole) {
        (void)json_object_set_new(object, "arguments", json_string(command->arguments));
        (void)json_object_set_new(object, "options", options_json(command));
    }
    return object;
}

static fwm_status help_program(const fwm_call *call)
{
    if (call->json) {
        json_t *list = json_array();
        for (int i = 0; i < fwm_command_count(); i++)
            (void)json_array_append_new(list, command_json(fwm_command_at(i), false));
        return fwm_print_json(json_pack("{s:s,s:o}", "version", FWM_VERSION, "commands", list));
    }
    (void)printf("fwm %s: trains world models that fuse frames with finite-element physics\n\n"
                 "Usage: fwm COMMAND [ARGUMENT]... [OPTION]...\n\n",
                 FWM_VERSION);
    for (int i = 0; i < fwm_command_count(); i++)
        (void)printf("  %-10s %s\n", fwm_command_at(i)->name, fwm_command_at(i)->summary);
    (void)printf(
        "\n  fwm help COMMAND        a command's arguments and options\n"
        "  fwm help config [KEY]   the configuration's keys\n"
        "  fwm --version           this program's version\n\n"
        "Every command: --json prints the result as one JSON object, --quiet and --verbose say less and more.\n"
        "Exit status: 0 done, 1 it ran and failed, 2 used wrongly.\n");
    return FWM_OK;
}

static fwm_status help_config(fwm_call *call, const char *key)
{
    if (call->json) {
        json_t *schema;
        FWM_TRY(tr_config_schema(&schema));
        char *text = json_dumps(schema, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        json_decref(schema);
        FWM_CHECK(text != NULL, FWM_MEMORY, "no memory for the schema's text");
        (void)printf("%s\n", text);
        free(text);
        return FWM_OK;
    }
    char *text;
    if (tr_config_help(key, &text) != FWM_OK) {
        call->misused = true;
        return FWM_CONFIG;
    }
    (void)printf("%s", text);
    fwm_free(text);
    return FWM_OK;
}

fwm_status fwm_run_help(fwm_call *call)
{
    if (call->argument_count == 0)
        return help_program(call);
    const char *topic = call->arguments[0];
    if (strcmp(topic, "config") == 0)
        return help_config(call, call->argument_count > 1 ? call->arguments[1] : "");
    const fwm_command *command = fwm_command_find(topic);
    if (command == NULL || call->argument_count > 1) {
        fwm_nearest nearest;
        fwm_nearest_start(&nearest, topic);
        fwm_nearest_offer(&nearest, "config");
        for (int i = 0; i < fwm_command_count(); i++)
            fwm_nearest_offer(&nearest, fwm_command_at(i)->name);
        const bool near = command == NULL && fwm_nearest_found(&nearest);
        return fwm_misuse(call, "expected one command, or config and a key, found \"%.60s\"%s%s%s", topic,
                          near ? "; did you mean " : "", near ? nearest.best : "", near ? "?" : "");
    }
    if (call->json)
        return fwm_print_json(command_json(command, true));
    fwm_print_help(command);
    return FWM_OK;
}
