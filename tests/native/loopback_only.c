/*
 * loopback_only.c - preloaded into a server that would listen on all addresses: it gets loopback.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_storage changed;

    if (length > sizeof changed) {
        return next(fd, address, length);
    }
    memcpy(&changed, address, length);
    if (changed.ss_family == AF_INET) {
        ((struct sockaddr_in *)&changed)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (changed.ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)&changed)->sin6_addr = in6addr_loopback;
    }
    return next(fd, (const struct sockaddr *)&changed, length);
}
