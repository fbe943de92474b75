/* Writes the sample dataset: program_write_dataset FILE [GZIP]. */
#include "tests/data/sample.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: program_write_dataset FILE [GZIP]\n");
        return 2;
    }
    ds_writer_options options = {.gzip = argc == 3 ? atoi(argv[2]) : 0};
    if (sample_write(argv[1], &options) != FWM_OK) {
        fprintf(stderr, "program_write_dataset: %s\n", fwm_error_message());
        return 1;
    }
    return 0;
}
