/* SPDX-License-Identifier: MIT */
/* Names made of -o's templates, the launchers' environment variables, lists of ranks. */
#include "pspy/base/cleanup.h"
#include "pspy/cli/launcher.h"
#include "pspy/cli/output_name.h"
#include "unit/tap.h"

/* Environments as the launchers make them, each with what inherits from an outer one. */
static char *open_mpi[] = {"HOME=/root",
                           "PMIX_RANK=3",
                           "PMIX_NAMESPACE=877920257",
                           "OMPI_COMM_WORLD_RANK=3",
                           "OMPI_COMM_WORLD_LOCAL_RANK=1",
                           "OMPI_MCA_ess_base_jobid=877920257",
                           NULL};
static char *open_mpi_in_slurm[] = {"SLURM_PROCID=0",
                                    "SLURM_LOCALID=0",
                                    "SLURM_JOB_ID=4711",
                                    "OMPI_COMM_WORLD_RANK=5",
                                    "OMPI_COMM_WORLD_LOCAL_RANK=2",
                                    "OMPI_MCA_ess_base_jobid=1",
                                    NULL};
static char *open_mpi_5[] = {"PMIX_RANK=2", "PMIX_NAMESPACE=prterun-node-77@1",
                             "OMPI_COMM_WORLD_LOCAL_RANK=2", NULL};
static char *mpich[] = {"PMI_RANK=12", "PMI_SIZE=16", "MPI_LOCALRANKID=4", "LSB_JOBID=9", NULL};
static char *mvapich[] = {"MV2_COMM_WORLD_RANK=6", "MV2_COMM_WORLD_LOCAL_RANK=2", NULL};
static char *pals[] = {"PALS_RANKID=7", "PALS_LOCAL_RANKID=3", "PALS_APID=f00d-1", NULL};
static char *pals_in_pbs[] = {"PALS_RANKID=7", "PALS_LOCAL_RANKID=3", "PALS_APID=f00d-1",
                              "PBS_JOBID=12.polaris", NULL};
static char *flux[] = {"FLUX_TASK_RANK=1", "FLUX_TASK_LOCAL_ID=0", "FLUX_JOB_ID=ƒ3ETxsR9H",
                       "SLURM_JOB_ID=4711", NULL};
static char *jsrun[] = {"JSM_NAMESPACE_RANK=8", "JSM_NAMESPACE_LOCAL_RANK=2", "LSB_JOBID=31", NULL};
static char *srun[] = {"SLURM_PROCID=40", "SLURM_LOCALID=8", "SLURM_JOB_ID=4711", NULL};
static char *none[] = {"HOME=/root", "PMIX_RANKS=3", "XPMIX_RANK=3", "PMI_RANK=", NULL};
static char *odd[] = {"PMIX_RANK=1/2",
                      "OMPI_COMM_WORLD_LOCAL_RANK=one",
                      "PBS_JOBID=a/b",
                      "PLAIN=a b%r.svg",
                      "SLASH=/tmp",
                      "EMPTY=",
                      "TWICE=first",
                      "TWICE=second",
                      NULL};

static struct error why;

/* The name, or "" on an error. */
static void is_name(const char *text, char *const *environment, const char *wanted)
{
    struct name_facts facts = {.pid = 1234, .host = "node7", .environment = environment};
    cleanup(cleanup_free) char *name = NULL;
    char what[128];

    snprintf(what, sizeof(what), "%s is %s", text, wanted);
    why = (struct error)ERROR_INIT;
    if (output_name_expand(text, &facts, &name, &why) == ERR_OK)
        tap_is_str(name, wanted, what);
    else
        tap_is_str(why.message, "", what);
}

static void is_refused(const char *text, char *const *environment, const char *part)
{
    struct name_facts facts = {.pid = 1234, .host = "node7", .environment = environment};
    char *name = NULL;

    why = (struct error)ERROR_INIT;
    tap_ok(output_name_expand(text, &facts, &name, &why) != ERR_OK && !name, "'%s' is refused",
           text);
    tap_ok(strstr(why.message, part), "'%s': %s", text, why.message);
}

static void test_words(void)
{
    is_name("plain.svg", none, "plain.svg");
    is_name("", none, "");
    is_name("-", none, "-");
    is_name("%p", none, "1234");
    is_name("a/%h/%p-%h.svg", none, "a/node7/1234-node7.svg");
    is_name("100%%.svg", none, "100%.svg");
    is_name("%%p%%%p%%", none, "%p%1234%");
    is_name("%q{HOME}x", (char *[]){"HOME=there", NULL}, "therex");
    is_name("%q{PLAIN}", odd, "a b%r.svg");
    is_name("%q{TWICE}", odd, "first");
    is_name("%r%l%j", open_mpi, "31877920257");
}

static void test_launchers(void)
{
    is_name("%r %l %j", open_mpi, "3 1 877920257");
    is_name("%r %l %j", open_mpi_in_slurm, "5 2 4711");
    is_name("%r %l %j", open_mpi_5, "2 2 prterun-node-77@1");
    is_name("%r %l %j", mpich, "12 4 9");
    is_name("%r %l", mvapich, "6 2");
    is_name("%r %l %j", pals, "7 3 f00d-1");
    is_name("%r %l %j", pals_in_pbs, "7 3 12.polaris");
    is_name("%r %l %j", flux, "1 0 ƒ3ETxsR9H");
    is_name("%r %l %j", jsrun, "8 2 31");
    is_name("%r %l %j", srun, "40 8 4711");
}

static void test_refusals(void)
{
    is_refused("a.%x.svg", none, "-o knows no %x: there are %p (pid)");
    is_refused("%R", open_mpi, "-o knows no %R");
    is_refused("%é", none, "-o knows no %é: ");
    is_refused("% p", none, "-o knows no % : ");
    is_refused("a%", none, "write %% for a percent sign");
    is_refused("a%%%", none, "write %% for a percent sign");
    is_refused("%q", none, "in braces, as in %q{USER}");
    is_refused("%qHOME", none, "in braces, as in %q{USER}");
    is_refused("%q{HOME", none, "in braces, as in %q{USER}");
    is_refused("%q{}", none, "in braces, as in %q{USER}");
    is_refused("%q{HOM}", none, "%q{HOM} in -o: that environment variable is not set");
    is_refused("%q{EMPTY}", odd, "is empty; set it, or leave %q{EMPTY} out");
    is_refused("%q{SLASH}/x", odd, "%q{SLASH} in -o is '/tmp' here, and a slash");
    is_refused("%j", odd, "%j in -o is 'a/b' here, and a slash");
    is_refused("%r", none, "none of PMIX_RANK, OMPI_COMM_WORLD_RANK, PMI_RANK,");
    is_refused("%r", none, "start pspy by the launcher, as in 'mpirun -n 4 pspy record ...'");
    is_refused("%l", none, "leave %l out");
    is_refused("%j", none, "no batch system says it");
    is_refused("%r", odd, "PMIX_RANK is '1/2', which is no number");
    is_refused("%l", odd, "OMPI_COMM_WORLD_LOCAL_RANK is 'one', which is no number");
    is_refused("%r", (char *[]){"PMI_RANK=-1", NULL}, "is '-1', which is no number");
    is_refused("%r", (char *[]){"PMI_RANK=1234567890", NULL}, "which is no number");
}

static void test_differs(void)
{
    static const char *const same[] = {"x.svg", "%h.%j.svg", "100%%r.svg", "%%%%p"};
    static const char *const different[] = {"%p", "a.%r", "%h.%l", "%%%r", "%h%%%q{X}"};

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        tap_ok(!output_name_differs(same[i]), "'%s' is the same in all ranks", same[i]);
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
        tap_ok(output_name_differs(different[i]), "'%s' is not", different[i]);
}

static void test_ranks(void)
{
    static const struct {
        const char *list, *rank;
        bool included, one;
    } rows[] = {
        {"0", "0", true, true},
        {"0", "1", false, true},
        {"1", "10", false, true},
        {"0-3,8", "0", true, false},
        {"0-3,8", "3", true, false},
        {"0-3,8", "4", false, false},
        {"0-3,8", "8", true, false},
        {"0-3,8", "80", false, false},
        {"8,0-3", "2", true, false},
        {"5-5", "5", true, false},
        {"2,2,1-9", "9", true, false},
        {"010", "10", true, true},
        {"0-999999999", "999999999", true, false},
    };
    static const char *const bad[] = {"",    ",",     "1,",   ",1",  "1,,2",      "3-0", "-3",
                                      "0-",  "1-2-3", "a",    "0x1", "0 1",       " 1",  "1 ",
                                      "1;2", "+1",    "0..3", "1.5", "1234567890"};
    bool included;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        included = !rows[i].included;
        tap_ok(ranks_include(rows[i].list, rows[i].rank, &included, &why) == ERR_OK &&
                   included == rows[i].included && ranks_are_one(rows[i].list) == rows[i].one,
               "rank %s of %s", rows[i].rank, rows[i].list);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        tap_ok(ranks_include(bad[i], "1", &included, &why) == ERR_INVALID &&
                   strstr(why.message, "--ranks needs ranks such as 0-3,8"),
               "'%s' is no list of ranks", bad[i]);
}

static void test_numbered(void)
{
    static const char *const rows[][2] = {
        {"gs.svg", "gs.7.svg"},
        {"out.d/gs.svg.gz", "out.d/gs.7.svg.gz"},
        {"gs.3.speedscope.json", "gs.3.7.speedscope.json"},
        {"gs.SPEEDSCOPE.JSON.GZ", "gs.7.SPEEDSCOPE.JSON.GZ"},
        {"out.d/gs", "out.d/gs.7"},
        {"out.d/.gs", "out.d/.gs.7"},
        {".gs.txt", ".gs.7.txt"},
        {"gs.gz", "gs.7.gz"},
        {".gz", ".gz.7"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cleanup(cleanup_free) char *name = output_name_numbered(rows[i][0], 7);

        tap_is_str(name, rows[i][1], rows[i][0]);
    }
}

int main(void)
{
    test_numbered();
    test_words();
    test_launchers();
    test_refusals();
    test_differs();
    test_ranks();
    return tap_done();
}
