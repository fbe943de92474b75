/* The run: which rank makes which parts, and rank 0's dataset of them. */
#include "data/toys.h"
#include "model/base/arena.h"
#include "model/base/log.h"
#include "physics/ranks.h"
#include "tools/simulation/parts.h"
#include "tools/simulation/simulation.h"

typedef struct run {
    fem_simulate_spec spec;
    fem_simulation *simulation;
    fwm_parts *parts;
    fwm_simulated_file file; /* rank 0's */
    fwm_progress bar;
    bool show;
    int rank, ranks;
    int64_t merged; /* parts that are in the file */
} run;

/* Rank 0: puts parts into the file, in order, as far as they are there. */
static fwm_status merge(run *r)
{
    bool found = r->rank == 0;
    while (found && r->merged < fwm_parts_count(r->parts)) {
        FWM_TRY(fwm_parts_find(r->parts, r->merged, &found));
        if (!found)
            break;
        FWM_TRY(fwm_parts_give(r->parts, fwm_simulated_put, &r->file));
        r->merged++;
        if (r->show)
            fwm_progress_update(&r->bar, r->file.done, "");
    }
    return FWM_OK;
}

/* Parts [from, to) that are not there yet, neighbours of one split together. */
static fwm_status make_parts(run *r, int64_t from, int64_t to)
{
    for (int64_t k = from; k < to;) {
        fem_split split, next;
        int64_t first, count, next_first, next_count;
        bool found;
        FWM_TRY(fwm_parts_find(r->parts, k, &found));
        fwm_parts_range(r->parts, k++, &split, &first, &count);
        if (found)
            continue;
        while (k < to) {
            fwm_parts_range(r->parts, k, &next, &next_first, &next_count);
            FWM_TRY(fwm_parts_find(r->parts, k, &found));
            if (found || next != split)
                break;
            count += next_count;
            k++;
        }
        FWM_TRY(fem_simulate_some(r->simulation, split, first, count, fwm_parts_put, r->parts));
    }
    return FWM_OK;
}

/* Groups of parts that fill everybody's lanes and threads, dealt out in turn. */
static fwm_status share_out(run *r)
{
    int64_t room;
    FWM_TRY(fem_ranks_least(fem_simulation_room(r->simulation), &room));
    const int64_t group = room > FWM_PART ? room / FWM_PART : 1, count = fwm_parts_count(r->parts);
    fwm_status status = FWM_OK;
    for (int64_t from = 0, turn = 0; from < count && status == FWM_OK; from += group, turn++) {
        if (turn % r->ranks != r->rank)
            continue;
        status = make_parts(r, from, from + group < count ? from + group : count);
        if (status == FWM_OK)
            status = merge(r);
    }
    return fem_ranks_agree(status);
}

static fwm_status begin(run *r, const tr_config *c, const char *path, const char *recipe)
{
    FWM_TRY(fwm_parts_open(&r->parts, path, recipe, &r->spec, r->rank));
    if (r->rank == 0)
        FWM_TRY(fwm_simulated_begin(&r->file, c, &r->spec, r->simulation, path, recipe));
    if (r->show) {
        int64_t total = 0;
        for (int k = 0; k < FEM_SPLIT_COUNT; k++)
            total += r->spec.count[k];
        fwm_progress_start(&r->bar, "simulate", 0, total);
    }
    return FWM_OK;
}

static fwm_status finish(run *r)
{
    if (r->rank != 0)
        return FWM_OK;
    FWM_TRY(merge(r));
    FWM_CHECK(r->merged == fwm_parts_count(r->parts), FWM_IO,
              "simulate: part %lld was made by another rank and is not there: all ranks need the same folder",
              (long long)r->merged);
    FWM_TRY(fwm_simulated_finish(&r->file, &r->spec, r->simulation));
    fwm_parts_remove(r->parts);
    return FWM_OK;
}

/* Points in place of a simulation. */
static fwm_status write_toy(const tr_config *c, const char *path, const char *text)
{
    static const ds_toy toys[] = {0, DS_TOY_DISCS, DS_TOY_MOONS, DS_TOY_GAUSSIANS, DS_TOY_LINE, DS_TOY_DUFFING};
    const ds_toy_options o = {
        .toy = toys[c->simulate.toy],
        .count = {c->simulate.train, c->simulate.validation, c->simulate.test, c->simulate.test_ood},
        .dimensions = c->simulate.toy_dimensions,
        .share = c->simulate.toy_share,
        .seed = (uint64_t)c->seed,
        .name = c->experiment,
        .config = text,
        .generator = "fwm " FWM_VERSION};
    return ds_toy_write(&o, path);
}

fwm_status fwm_simulate_dataset(const tr_config *c, const char *path, const char *recipe, bool show)
{
    run r = {.show = show};
    FWM_TRY(fem_ranks(&r.rank, &r.ranks));
    if (c->simulate.toy != TR_TOY_NONE)
        return fem_ranks_agree(r.rank == 0 ? write_toy(c, path, recipe) : FWM_OK);
    r.show = show && r.rank == 0;
    fwm_status status = fwm_simulation_spec(c, &r.spec);
    if (status == FWM_OK)
        status = fem_simulation_create(&r.simulation, &r.spec);
    if (status == FWM_OK)
        status = begin(&r, c, path, recipe);
    status = fem_ranks_agree(status);
    if (status == FWM_OK)
        status = share_out(&r);
    if (status == FWM_OK)
        status = fem_ranks_agree(finish(&r));
    if (r.show)
        fwm_progress_finish(&r.bar, r.file.done, "trajectories");
    fwm_simulated_abort(&r.file);
    fwm_parts_close(&r.parts);
    fem_simulation_destroy(&r.simulation);
    return status;
}
