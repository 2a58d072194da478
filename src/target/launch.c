/* SPDX-License-Identifier: MIT */
#include "pspy/target/launch.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Groups first: afterwards the right to set them is gone. */
static bool become(const struct sudo_user *user)
{
    if ((user->name[0] ? initgroups(user->name, user->gid) : setgroups(1, &user->gid)) != 0 ||
        setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return false;
    if (user->name[0]) {
        setenv("USER", user->name, 1);
        setenv("LOGNAME", user->name, 1);
        setenv("HOME", user->home, 1);
    }
    return true;
}

/* All signals are blocked since before the fork: none reaches our handlers in the child. */
static void restore_signals(const struct launch *launch)
{
    static const int changed[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};

    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
        signal(changed[i], sigismember(launch->ignored, changed[i]) ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, launch->signal_mask, NULL);
}

/* Returns the errno of what failed. */
static int execute(const struct launch *launch)
{
    if (!launch->user || become(launch->user))
        execvp(launch->argv[0], launch->argv);
    return errno;
}

/* In the child: waits for the word to go; our end closed without it is a no. Tells errno, unless
 * exec closes the line. */
static _Noreturn void become_program(const struct launch *launch, int line)
{
    char word;
    int number;
    ssize_t ignored;

    if (read(line, &word, 1) != 1)
        _exit(127);
    restore_signals(launch);
    number = execute(launch);
    ignored = write(line, &number, sizeof(number));
    (void)ignored;
    _exit(127);
}

static enum err explain(const char *program, int number, struct error *why)
{
    struct stat found;

    if (number == ENOENT && stat(program, &found) == 0)
        return error_set(why, ERR_NOT_FOUND,
                         "'%s' wants an interpreter that is not there: check its first line, or "
                         "start it by its interpreter, as in: python %s",
                         program, program);
    if (number == ENOENT || number == ENOTDIR)
        return error_set(why, ERR_NOT_FOUND,
                         "there is no program '%s': check its name, or give its path", program);
    if (number == EACCES && stat(program, &found) == 0 && S_ISDIR(found.st_mode))
        return error_set(why, ERR_PERMISSION,
                         "'%s' is a directory: name the program in it, or start it by its "
                         "interpreter, as in: python %s",
                         program, program);
    if (number == EACCES || number == EPERM || number == ENOEXEC)
        return error_set(why, ERR_PERMISSION,
                         "'%s' cannot be executed (%s): check its permissions, or start it by its "
                         "interpreter, as in: python %s",
                         program, strerror(number), program);
    return error_set_errno(why, number, "cannot start '%s'", program);
}

/* All signals are blocked while it is made: none may reach our handlers in the child. */
static pid_t fork_waiting(const struct launch *launch, const int line[2])
{
    sigset_t all, old_mask;
    pid_t pid;
    int number;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old_mask);
    pid = fork();
    if (pid == 0) {
        close(line[0]); /* else it would not be seen that we closed it */
        become_program(launch, line[1]);
    }
    number = errno;
    sigprocmask(SIG_SETMASK, &old_mask, NULL);
    errno = number;
    return pid;
}

enum err launch_prepare(const struct launch *launch, struct launch_wait *ret, struct error *why)
{
    int line[2], number;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) != 0)
        return error_set_errno(why, errno, "cannot start '%s'", launch->argv[0]);
    pid = fork_waiting(launch, line);
    number = errno;
    close(line[1]);
    if (pid < 0) {
        close(line[0]);
        return error_set_errno(why, number, "cannot start '%s'", launch->argv[0]);
    }
    *ret = (struct launch_wait){.pid = pid, .line = line[0]};
    return ERR_OK;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* A process that was killed while it waited has no ear: a program that ended by that signal. */
enum err launch_go(const struct launch *launch, struct launch_wait *wait, struct error *why)
{
    int number;
    ssize_t got;

    (void)!send(wait->line, "", 1, MSG_NOSIGNAL);
    do
        got = read(wait->line, &number, sizeof(number));
    while (got < 0 && errno == EINTR);
    close(wait->line);
    if (got != sizeof(number))
        return ERR_OK;
    reap(wait->pid);
    return explain(launch->argv[0], number, why);
}

void launch_cancel(struct launch_wait *wait)
{
    close(wait->line);
    reap(wait->pid);
}

enum err launch_replace(const struct launch *launch, struct error *why)
{
    return explain(launch->argv[0], execute(launch), why);
}
