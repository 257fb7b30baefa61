/* Connects the standard streams of this program with a session of plugin-host, without a library:
 *
 *     cc -o open_io open_io.c
 *     ./open_io SOCKET "$(plugin-host open-io SESSION)"
 *
 * SOCKET is the control socket's path followed by ".io". One descriptor is taken for `stdio`, two for
 * `stdin,stdout`, three for `stdin,stdout,stderr`. Ends with 0 when all output has come, with 1 when it
 * was cut, with 2 when there were no descriptors. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 3, ROOM = 4096 };

static void fail(const char *what) {
    fprintf(stderr, "open_io: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int connect_to(const char *path, const char *token) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(path);
    if (write_all(fd, token, strlen(token)) < 0 || write_all(fd, "\n", 1) < 0)
        fail(path);
    return fd;
}

/* One message: as many bytes `F` as descriptors, or `E` and the reason. */
static int receive(int from, int fds[MOST]) {
    char text[ROOM];
    union {
        char room[CMSG_SPACE(MOST * sizeof(int))];
        struct cmsghdr alignment;
    } control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
    ssize_t size = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    if (size < 0)
        fail("recvmsg");
    text[size] = '\0';
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
        fprintf(stderr, "open_io: %s\n", size > 1 && text[0] == 'E' ? text + 1 : "no descriptors came");
        exit(2);
    }
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    if (message.msg_flags & MSG_CTRUNC || count != (size_t)size || strspn(text, "F") != count) {
        fprintf(stderr, "open_io: %zu descriptors came with %zd tags\n", count, size);
        exit(2);
    }
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
    return (int)count;
}

/* Returns 0 at the end of the file. A session's output that was cut is a reset, and never looks like that. */
static int copy(int from, int to) {
    static char data[65536];
    ssize_t n;
    while ((n = read(from, data, sizeof data)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write_all(to, data, (size_t)n) < 0)
            return 1;
    }
    return 0;
}

static pid_t copier(int from, int to, const int fds[], int count) {
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid > 0)
        return pid;
    for (int i = 0; i < count; i++) /* what a copy holds is not closed for the host */
        if (fds[i] != from && fds[i] != to)
            close(fds[i]);
    int status = copy(from, to);
    if (from == STDIN_FILENO)
        shutdown(to, SHUT_WR); /* the end of the session's input, also while others hold the descriptor */
    _exit(status);
}

int main(int argc, char **argv) {
    int fds[MOST], status, cut;
    if (argc != 3) {
        fprintf(stderr, "usage: open_io SOCKET TOKEN\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int sock = connect_to(argv[1], argv[2]);
    int count = receive(sock, fds);
    close(sock);

    int in = fds[0], out = fds[count > 1 ? 1 : 0];
    pid_t typing = copier(STDIN_FILENO, in, fds, count);
    pid_t errors = count > 2 ? copier(fds[2], STDERR_FILENO, fds, count) : 0;
    if (in != out)
        close(in);
    if (count > 2)
        close(fds[2]);

    cut = copy(out, STDOUT_FILENO);
    if (errors > 0) {
        waitpid(errors, &status, 0);
        cut |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    kill(typing, SIGTERM); /* it may wait for somebody to type */
    waitpid(typing, &status, 0);
    return cut;
}
