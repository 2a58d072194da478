/* SPDX-License-Identifier: MIT */
#include "pspy/cli/launcher.h"

#include <ctype.h>
#include <string.h>

#include "pspy/base/cleanup.h"
#include "pspy/base/strbuf.h"

#define DIGITS     "0123456789"
#define DIGITS_MAX 9 /* of a rank: any such number fits in 32 bits */

/*
 * The first variable that is set counts. MPI's own launchers come before batch systems, whose
 * variables mpirun inherits within a job: SLURM_PROCID is then 0 in every rank. For the job it is
 * the other way round: users know the batch system's id.
 */
static const struct fact {
    const char *what, *giver, *remedy;
    bool is_number;
    const char *variables[12];
} facts[] = {
    [LAUNCHER_RANK] =
        {
            .what = "the MPI rank",
            .giver = "launcher",
            .remedy = "start pspy by the launcher, as in 'mpirun -n 4 pspy record ...'",
            .is_number = true,
            .variables = {"PMIX_RANK",            /* Open MPI, srun --mpi=pmix */
                          "OMPI_COMM_WORLD_RANK", /* Open MPI */
                          "PMI_RANK",             /* MPICH, Intel MPI, srun --mpi=pmi2 */
                          "MV2_COMM_WORLD_RANK",  /* MVAPICH2 */
                          "PALS_RANKID",          /* HPE Cray */
                          "FLUX_TASK_RANK",       /* flux run */
                          "JSM_NAMESPACE_RANK",   /* jsrun */
                          "SLURM_PROCID"},        /* srun */
        },
    [LAUNCHER_LOCAL_RANK] =
        {
            .what = "the rank on this host",
            .giver = "launcher",
            .remedy = "start pspy by the launcher, as in 'mpirun -n 4 pspy record ...'",
            .is_number = true,
            .variables = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", /* MPICH, Intel MPI */
                          "MV2_COMM_WORLD_LOCAL_RANK", "PALS_LOCAL_RANKID", "FLUX_TASK_LOCAL_ID",
                          "JSM_NAMESPACE_LOCAL_RANK", "SLURM_LOCALID"},
        },
    [LAUNCHER_JOB] =
        {
            .what = "the job's id",
            .giver = "batch system",
            .remedy = "start pspy in a job",
            .variables = {"FLUX_JOB_ID", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID",
                          "PALS_APID",               /* one of mpiexec's, not of PBS's */
                          "OMPI_MCA_ess_base_jobid", /* Open MPI 4 */
                          "PMIX_NAMESPACE"},         /* Open MPI 5 */
        },
};

const char *environment_value(char *const *environment, const char *name, size_t length)
{
    for (; *environment; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    return NULL;
}

static enum err explain_absence(const struct fact *fact, const char *asker, struct error *why)
{
    cleanup(strbuf_deinit) struct strbuf names = STRBUF_INIT;

    for (const char *const *name = fact->variables; *name; name++)
        strbuf_addf(&names, "%s%s", names.length ? ", " : "", *name);
    return error_set(why, ERR_NOT_FOUND,
                     "%s needs %s, and no %s says it (none of %s is set): %s, or leave %s out",
                     asker, fact->what, fact->giver, names.text, fact->remedy, asker);
}

static bool is_rank(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length <= DIGITS_MAX && strspn(text, DIGITS) == length;
}

enum err launcher_ask(enum launcher_fact which, char *const *environment, const char *asker,
                      const char **ret, struct error *why)
{
    const struct fact *fact = &facts[which];

    for (const char *const *name = fact->variables; *name; name++) {
        const char *value = environment_value(environment, *name, strlen(*name));

        if (!value || !*value)
            continue;
        if (fact->is_number && !is_rank(value))
            return error_set(why, ERR_INVALID,
                             "%s needs %s, and %s is '%s', which is no number: correct or unset "
                             "the variable, or leave %s out",
                             asker, fact->what, *name, value, asker);
        *ret = value;
        return ERR_OK;
    }
    return explain_absence(fact, asker, why);
}

/* Reads the digits at *at and moves it behind them. */
static bool read_rank(const char **at, unsigned *ret)
{
    const char *start = *at;

    *ret = 0;
    for (; isdigit((unsigned char)**at) && *at - start < DIGITS_MAX; ++*at)
        *ret = *ret * 10 + (unsigned)(**at - '0');
    return *at > start;
}

/* Reads "8" or "0-3". */
static bool read_range(const char **at, unsigned *ret_first, unsigned *ret_last)
{
    if (!read_rank(at, ret_first))
        return false;
    *ret_last = *ret_first;
    if (**at != '-')
        return true;
    ++*at;
    return read_rank(at, ret_last) && *ret_last >= *ret_first;
}

enum err ranks_include(const char *list, const char *rank, bool *ret, struct error *why)
{
    unsigned wanted, first, last;
    bool found = false;
    const char *at = list;

    read_rank(&rank, &wanted);
    do {
        if (!read_range(&at, &first, &last) || (*at && *at != ','))
            return error_set(why, ERR_INVALID,
                             "--ranks needs ranks such as 0-3,8 (numbers and ranges with commas "
                             "between them), not '%s'",
                             list);
        found |= first <= wanted && wanted <= last;
    } while (*at++);
    *ret = found;
    return ERR_OK;
}

bool ranks_are_one(const char *list)
{
    return strspn(list, DIGITS) == strlen(list);
}
