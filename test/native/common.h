/* What the test programs in C share: each is one file, static, and needs nothing of Node. */
#ifndef FRAMEVEC_TEST_COMMON_H
#define FRAMEVEC_TEST_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kmod/uapi/framevec.h"

#define PAGE 4096UL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char* format, ...) {
  const int error = errno;
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, ": %s\n", strerror(error));
  exit(2);
}

/* Of anonymous memory unless a descriptor is given; in the memory already, unless it is not to be.
 */
static inline void* map(size_t length, int fd, int more) {
  const int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  void* at = mmap(NULL, length, PROT_READ | PROT_WRITE, flags | more, fd, 0);
  if (at == MAP_FAILED) die("mmap");
  return at;
}

static inline uint64_t address(const void* at) { return (uintptr_t)at; }

/* What a test program can be asked for by its first argument. */
struct subcommand {
  const char* name;
  void (*run)(int argc, char** argv);
};

/* Gives the arguments behind the name to the subcommand. */
static inline void run_subcommand(const struct subcommand* all, size_t n, int argc, char** argv) {
  for (size_t i = 0; argc > 1 && i < n; i++) {
    if (strcmp(argv[1], all[i].name) != 0) continue;
    all[i].run(argc - 2, argv + 2);
    return;
  }
  errno = EINVAL;
  die("%s: the first argument is not one of its subcommands", argv[0]);
}

/* 0 or more, or a negative errno. */
static inline int call(int fd, unsigned long number, void* arg) {
  const int result = ioctl(fd, number, arg);
  return result < 0 ? -errno : result;
}

static inline int create(int device, uint64_t capacity) {
  struct framevec_create arg = {.size = sizeof(arg), .capacity = capacity};
  const int result = call(device, FRAMEVEC_IOC_CREATE, &arg);
  return result < 0 ? result : arg.fd;
}

/* A number of /proc/self/status in kB, such as VmPin. */
static inline long status_kb(const char* field) {
  char line[256];
  long kb = -1;
  FILE* file = fopen("/proc/self/status", "re");
  if (file == NULL) die("/proc/self/status");
  while (fgets(line, sizeof(line), file) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
      kb = atol(line + strlen(field) + 1);
  }
  fclose(file);
  return kb;
}

#endif
