/*
 * fail_nth SEQUENCE [BAR [NTH]]: every allocation fails once, and every copy from and to user
 * space, as in the kernel's own iommufd_fail_nth. A sequence is tried again and again, each time in
 * a process of its own, with the first, second, ... chance of failure taken, until it has no more;
 * or only with the NTH. Each try is a line of JSON:
 *
 *   nth        which one
 *   result     what the sequence came to: 0 or a negative errno
 *   unchanged  vector, VmPin and descriptors are as they were before it
 *   frames     what the vector holds after it; -1: there is none
 *   again      what it came to when tried again, with nothing to fail; 0 if it did not fail
 */
#include <poll.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "common.h"

#define FRAMES 600
#define FEW 24

struct run {
  int device, vector;
  void* memory;
  size_t length;
  void* buffer;
};

static const char* bar_path;

/* --- before: what is not to fail --------------------------------------------- */

static void empty(struct run* run) {
  run->vector = create(run->device, FRAMES);
  if (run->vector < 0) die("CREATE");
}

static int do_pin(struct run* run) {
  struct framevec_pin pin = {.size = sizeof(pin),
                             .flags = FRAMEVEC_PIN_WRITE,
                             .addr = address(run->memory),
                             .length = run->length};
  return call(run->vector, FRAMEVEC_IOC_PIN, &pin);
}

static void pinned(struct run* run) {
  empty(run);
  if (do_pin(run) != 0) die("PIN");
}

static void anonymous(struct run* run) {
  run->length = FRAMES * PAGE;
  run->memory = map(run->length, -1, MAP_POPULATE);
  madvise(run->memory, run->length, MADV_NOHUGEPAGE);
  empty(run);
}

static void untouched(struct run* run) {
  run->length = FEW * PAGE;
  run->memory = map(run->length, -1, 0);
  madvise(run->memory, run->length, MADV_NOHUGEPAGE);
  empty(run);
}

static void aperture(struct run* run) {
  run->length = FRAMES * PAGE;
  run->memory = map(run->length, run->device, 0);
  empty(run);
}

static void bar(struct run* run) {
  if (bar_path == NULL) die("which BAR?");
  const int fd = open(bar_path, O_RDWR | O_CLOEXEC);
  if (fd < 0) die("%s", bar_path);
  run->length = FEW * PAGE;
  run->memory = map(run->length, fd, 0);
  close(fd);
  pinned(run);
}

static void pinned_anonymous(struct run* run) {
  anonymous(run);
  close(run->vector);
  pinned(run);
}

static void pinned_aperture(struct run* run) {
  aperture(run);
  close(run->vector);
  pinned(run);
}

static void nothing(struct run* run) { run->vector = -1; }

/* --- what is tried ------------------------------------------------------------ */

static int do_create_of(struct run* run, uint64_t capacity) {
  const int fd = create(run->device, capacity);
  if (fd < 0) return fd;
  run->vector = fd;
  return 0;
}

static int do_create(struct run* run) { return do_create_of(run, FRAMES); }

/* Its array is not from the slab. */
static int do_create_large(struct run* run) { return do_create_of(run, 1 << 20); }

static int do_unpin(struct run* run) {
  struct framevec_unpin unpin = {.size = sizeof(unpin)};
  return call(run->vector, FRAMEVEC_IOC_UNPIN, &unpin);
}

static int do_read_pfns(struct run* run) {
  struct framevec_read_pfns arg = {.size = sizeof(arg), .count = FEW, .pfns = address(run->buffer)};
  return call(run->vector, FRAMEVEC_IOC_READ_PFNS, &arg);
}

static int do_extents(struct run* run) {
  struct framevec_extents arg = {.size = sizeof(arg),
                                 .capacity = FEW,
                                 .pfns = address(run->buffer),
                                 .counts = address(run->buffer) + PAGE};
  return call(run->vector, FRAMEVEC_IOC_EXTENTS, &arg);
}

static int do_convert(struct run* run, unsigned long number) {
  struct framevec_convert arg = {.size = sizeof(arg)};
  return call(run->vector, number, &arg);
}

static int do_to_pages(struct run* run) { return do_convert(run, FRAMEVEC_IOC_TO_PAGES); }
static int do_to_pfns(struct run* run) { return do_convert(run, FRAMEVEC_IOC_TO_PFNS); }

static int transferred(ssize_t result) { return result < 0 ? -errno : 0; }

static int do_read(struct run* run) {
  return transferred(pread(run->vector, run->buffer, 2 * PAGE, 100));
}
static int do_write(struct run* run) {
  return transferred(pwrite(run->vector, run->buffer, 2 * PAGE, 100));
}

static int do_poll(struct run* run) {
  struct pollfd entry = {.fd = run->vector, .events = POLLPRI};
  return poll(&entry, 1, 0) < 0 ? -errno : 0;
}

static int do_mmap(struct run* run) {
  void* at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, run->device, 0);
  if (at == MAP_FAILED) return -errno;
  munmap(at, 4 * PAGE);
  return 0;
}

/* The whole of a life, with a failure anywhere in it. */
static int do_life(struct run* run) {
  const int before = run->vector;
  int result = do_create(run);
  if (result == 0) {
    result = do_pin(run);
    if (result == 0) result = do_extents(run);
    if (result == 0) result = do_to_pages(run);
    if (result == 0) result = do_read(run);
    if (result == 0) result = do_write(run);
    if (result == 0) result = do_unpin(run);
    close(run->vector);
  }
  run->vector = before;
  return result;
}

static void anonymous_memory(struct run* run) {
  anonymous(run);
  close(run->vector);
  run->vector = -1;
}

static void aperture_memory(struct run* run) {
  aperture(run);
  close(run->vector);
  run->vector = -1;
}

static const struct {
  const char* name;
  void (*before)(struct run* run);
  int (*act)(struct run* run);
} sequences[] = {
    {"create", nothing, do_create},
    {"create-large", nothing, do_create_large},
    {"pin", anonymous, do_pin},
    {"pin-untouched", untouched, do_pin},
    {"pin-aperture", aperture, do_pin},
    {"unpin", pinned_anonymous, do_unpin},
    {"unpin-aperture", pinned_aperture, do_unpin},
    {"read-pfns", pinned_anonymous, do_read_pfns},
    {"extents", pinned_anonymous, do_extents},
    {"extents-aperture", pinned_aperture, do_extents},
    {"to-pages", pinned_aperture, do_to_pages},
    {"to-pfns", pinned_anonymous, do_to_pfns},
    {"read", pinned_anonymous, do_read},
    {"write", pinned_anonymous, do_write},
    {"read-aperture", pinned_aperture, do_read},
    {"write-aperture", pinned_aperture, do_write},
    {"read-bar", bar, do_read},
    {"write-bar", bar, do_write},
    {"poll", pinned_aperture, do_poll},
    {"mmap", nothing, do_mmap},
    {"life", anonymous_memory, do_life},
    {"life-aperture", aperture_memory, do_life},
};

/* --- what there is before and after ------------------------------------------ */

struct state {
  struct framevec_stat stat;
  long pin_kb;
  int free_fd;
};

static void look(const struct run* run, struct state* state) {
  memset(state, 0, sizeof(*state));
  state->stat.size = sizeof(state->stat);
  if (run->vector >= 0 && call(run->vector, FRAMEVEC_IOC_STAT, &state->stat) != 0) die("STAT");
  state->pin_kb = status_kb("VmPin");
  state->free_fd = dup(0);
  close(state->free_fd);
}

static int fail_nth_file(void) {
  const int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
  if (fd < 0) die("/proc/thread-self/fail-nth");
  return fd;
}

/* What is left of an earlier number may hit this very write; then it is used up. */
static void arm(int file, unsigned nth) {
  char text[16];
  const int length = snprintf(text, sizeof(text), "%u", nth);
  if (pwrite(file, text, (size_t)length, 0) != length &&
      pwrite(file, text, (size_t)length, 0) != length) {
    die("fail-nth");
  }
}

/* Has the failure come? The answer itself can be what fails: then it had not. */
static bool fired(int file) {
  char text[16] = "";
  if (pread(file, text, sizeof(text) - 1, 0) < 0) return false;
  return atoi(text) == 0;
}

/*
 * A child shares its parent's pages until it writes to them. Where a page of the stack begins is
 * chance, so the first write to one could fall between arm() and fired(): the copy of that page
 * took the failure, and the kernel complained of a fault that found no memory.
 */
static void own_all_pages(void) {
  if (mlockall(MCL_CURRENT) != 0) die("mlockall");
}

/* Returns whether there was an nth chance of failure. */
static bool try(size_t sequence, unsigned nth) {
  own_all_pages();
  struct run run = {.device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC), .vector = -1};
  struct state before, after;
  if (run.device < 0) die(FRAMEVEC_DEVICE);
  run.buffer = map(4 * PAGE, -1, MAP_POPULATE);
  memset(run.buffer, 0x5a, 4 * PAGE);
  sequences[sequence].before(&run);
  const int file = fail_nth_file();
  look(&run, &before);

  arm(file, nth);
  const int result = sequences[sequence].act(&run);
  const bool came = fired(file);
  arm(file, 0);
  if (!came) {
    if (result != 0) die("%s fails with nothing to fail (%d)", sequences[sequence].name, result);
    return false;
  }

  look(&run, &after);
  const bool unchanged = memcmp(&before, &after, sizeof(before)) == 0;
  const long frames = run.vector < 0 ? -1 : (long)after.stat.frames;
  const int again = result == 0 ? 0 : sequences[sequence].act(&run);
  printf("{\"nth\":%u,\"result\":%d,\"unchanged\":%s,\"frames\":%ld,\"again\":%d}\n", nth, result,
         unchanged ? "true" : "false", frames, again);
  return true;
}

static void set(const char* path, const char* value) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, value, strlen(value)) < 0) die("%s", path);
  close(fd);
}

int main(int argc, char** argv) {
  size_t sequence = 0;
  if (argc < 2) {
    for (; sequence < COUNT(sequences); sequence++) puts(sequences[sequence].name);
    return 0;
  }
  while (sequence < COUNT(sequences) && strcmp(sequences[sequence].name, argv[1]) != 0) sequence++;
  if (sequence == COUNT(sequences)) {
    fprintf(stderr, "there is no sequence %s\n", argv[1]);
    return 2;
  }
  bar_path = argc > 2 ? argv[2] : NULL;

  /* All allocations, also those that may wait and those of one page; and not a word about it in the
   * log. */
  set("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
  set("/sys/kernel/debug/failslab/verbose", "0");
  set("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
  set("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
  set("/sys/kernel/debug/fail_page_alloc/min-order", "0");
  set("/sys/kernel/debug/fail_page_alloc/verbose", "0");
  set("/sys/kernel/debug/fail_usercopy/verbose", "0");

  const unsigned first = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
  for (unsigned nth = first; nth < 10000 && (argc <= 3 || nth == first); nth++) {
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      const bool more = try(sequence, nth);
      fflush(stdout);
      _exit(more ? 0 : 1);
    }
    int status;
    if (waitpid(child, &status, 0) != child) die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
      fprintf(stderr, "%s, nth %u: the try ended with status 0x%x\n", argv[1], nth,
              (unsigned)status);
      return 2;
    }
    if (WEXITSTATUS(status) == 1) return 0;
  }
  if (argc > 3) return 0;
  fprintf(stderr, "%s has no end\n", argv[1]);
  return 2;
}
