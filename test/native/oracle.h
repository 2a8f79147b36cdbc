/*
 * A process with vectors and memory of its own, which nobody else changes: so every answer can be
 * checked while other processes do what they like. It makes holds that fail, in every way that it
 * can, uses the same vector again, converts it, and asks three witnesses after each step: its own
 * bytes, /proc/self/pagemap and /proc/kpagecount. It knows of no particular fault.
 */
#ifndef FRAMEVEC_TEST_ORACLE_H
#define FRAMEVEC_TEST_ORACLE_H

#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "common.h"

#define PLACE_PAGES 96
/* At the end of it, ordinary memory that is never replaced and so can always be pinned. */
#define RESERVE 12
#define PLACE (PLACE_PAGES * PAGE)
#define OWN_VECTORS 3
#define FILE_PAGES 32
#define BAR_PAGES 64 /* for each caching mode */
#define KERNEL_PAGES 16
#define FINDING 400

enum source { HOLE, ANONYMOUS, SHARED, APERTURE, UNCACHED, COMBINING, KERNEL, SOURCES };

struct oracle_page {
  enum source source;
  unsigned offset; /* in the file, the aperture, ... */
  int prot;
};

struct oracle_vector {
  int fd;
  unsigned frames; /* 0: it is empty */
  bool pinned, write;
  uint64_t start; /* of the range, in bytes from the place's start */
  uint64_t length;
  struct oracle_page pages[PLACE_PAGES];
  uint64_t pfns[PLACE_PAGES];
};

struct oracle {
  uint64_t state;
  unsigned long steps; /* every call to framevec */
  unsigned long tries[4], failed[4];
  int device, file, bar, combining, pagemap, counts;
  char* place;
  char* kernel; /* device memory that the kernel has mapped here, [vvar] */
  unsigned kernel_pages;
  char* answer; /* a page that can be made one to read only */
  struct oracle_page pages[PLACE_PAGES];
  struct oracle_vector vectors[OWN_VECTORS];
  /* Device frames by source and offset, as they were first told. */
  uint64_t known[SOURCES][4096];
  char finding[FINDING]; /* not empty: what was found to be wrong */
};

/*
 * Says what is wrong, and waits for the end of the machine with everything open: the end of a
 * vector in a wrong state could be the kernel's, and nobody would hear of the finding.
 */
__attribute__((noreturn, format(printf, 2, 3))) static void found(struct oracle* oracle,
                                                                  const char* format, ...) {
  va_list args;
  char text[FINDING];
  va_start(args, format);
  const int n = vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  snprintf(text + n, sizeof(text) - (size_t)n, ", after %lu calls", oracle->steps);
  memcpy(oracle->finding + 1, text + 1, sizeof(text) - 1);
  __atomic_store_n(oracle->finding, text[0], __ATOMIC_RELEASE);
  for (int fd = 0; fd < 3; fd++) close(fd);
  for (;;) pause();
}

static uint64_t oracle_next(struct oracle* oracle) {
  uint64_t z = (oracle->state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static unsigned oracle_below(struct oracle* oracle, unsigned n) {
  return (unsigned)(oracle_next(oracle) % n);
}

static bool is_device(enum source source) { return source >= APERTURE; }

/* Device memory of one caching mode only can be in a vector. */
static bool fit(enum source a, enum source b) { return is_device(a) ? a == b : !is_device(b); }

/* Of the aperture others change the content, and the kernel that of its own pages. */
static bool has_content(enum source source) {
  return source == ANONYMOUS || source == SHARED || source == UNCACHED || source == COMBINING;
}

/* Something in place of what was there; what is ours to write gets bytes like no other page's. */
static void lay(struct oracle* oracle, unsigned first, unsigned n, enum source source) {
  const int of[] = {-1, -1, oracle->file, oracle->device, oracle->bar, oracle->combining};
  char* at = oracle->place + first * PAGE;
  const unsigned offset = source == APERTURE ? oracle_below(oracle, 4000)
                          : source == SHARED ? oracle_below(oracle, FILE_PAGES - 10)
                                             : oracle_below(oracle, BAR_PAGES - 10);
  const bool anonymous = source == HOLE || source == ANONYMOUS;
  /* A hole is memory without access, so that no library of this process comes to lie in it. */
  if (mmap(at, n * PAGE, source == HOLE ? PROT_NONE : PROT_READ | PROT_WRITE,
           MAP_FIXED | (anonymous ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), of[source],
           anonymous ? 0 : (off_t)((offset + (source == COMBINING ? BAR_PAGES : 0)) * PAGE)) ==
      MAP_FAILED)
    die("the oracle's mmap, source %d", (int)source);
  if (has_content(source))
    for (uint64_t* word = (uint64_t*)at; word < (uint64_t*)(at + n * PAGE); word += 64)
      *word = oracle_next(oracle);
  const bool sealed =
      source != HOLE && first < PLACE_PAGES - RESERVE && oracle_below(oracle, 6) == 0;
  if (sealed && mprotect(at, n * PAGE, PROT_READ) != 0) die("mprotect");
  for (unsigned i = 0; i < n; i++)
    oracle->pages[first + i] = (struct oracle_page){source, anonymous ? 0 : offset + i,
                                                    source == HOLE ? PROT_NONE
                                                    : sealed       ? PROT_READ
                                                                   : PROT_READ | PROT_WRITE};
}

static void lay_something(struct oracle* oracle) {
  const unsigned first = oracle_below(oracle, PLACE_PAGES - RESERVE);
  const unsigned n = 1 + oracle_below(oracle, 10), most = PLACE_PAGES - RESERVE - first;
  const bool ordinary = oracle_below(oracle, 8) == 0;
  lay(oracle, first, n < most ? n : most,
      ordinary ? ANONYMOUS : (enum source)oracle_below(oracle, KERNEL));
}

static uint64_t number_at(int fd, uint64_t index) {
  uint64_t number = 0;
  if (pread(fd, &number, sizeof(number), (off_t)(index * sizeof(number))) < 0)
    die("a number of /proc");
  return number;
}

/* 0: not there. */
static uint64_t frame_at(struct oracle* oracle, const void* at) {
  const uint64_t entry = number_at(oracle->pagemap, address(at) / PAGE);
  return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static struct framevec_stat stat_of(struct oracle* oracle, struct oracle_vector* vector) {
  struct framevec_stat stat = {.size = sizeof(stat)};
  oracle->steps++;
  if (call(vector->fd, FRAMEVEC_IOC_STAT, &stat) != 0)
    found(oracle, "STAT of descriptor %d fails: %d", vector->fd, errno);
  return stat;
}

/* After a hold that failed, and after UNPIN: there is nothing, by whatever call. */
static void check_empty(struct oracle* oracle, struct oracle_vector* vector) {
  uint64_t number;
  struct framevec_read_pfns numbers = {
      .size = sizeof(numbers), .count = 1, .pfns = address(&number)};
  struct framevec_convert convert = {.size = sizeof(convert)};
  const struct framevec_stat stat = stat_of(oracle, vector);
  if (stat.kind != FRAMEVEC_KIND_NONE || stat.state != 0 || stat.frames != 0 || stat.length != 0)
    found(oracle, "an empty vector has kind %u, state %u, %u frames, %llu bytes", stat.kind,
          stat.state, stat.frames, (unsigned long long)stat.length);
  oracle->steps += 4;
  int result = call(vector->fd, FRAMEVEC_IOC_READ_PFNS, &numbers);
  if (result != -ENODATA) found(oracle, "READ_PFNS of an empty vector: %d", result);
  if (pread(vector->fd, &number, 1, 0) != -1 || errno != ENODATA)
    found(oracle, "read() of an empty vector: %d", errno);
  result = call(vector->fd, FRAMEVEC_IOC_TO_PFNS, &convert);
  if (result != -ENODATA) found(oracle, "TO_PFNS of an empty vector: %d", result);
  result = call(vector->fd, FRAMEVEC_IOC_TO_PAGES, &convert);
  if (result != -ENODATA) found(oracle, "TO_PAGES of an empty vector: %d", result);
}

/* The numbers are checked first: of a wrong number there may be no memory to read. */
static void check_numbers(struct oracle* oracle, struct oracle_vector* vector) {
  uint64_t pfns[PLACE_PAGES] = {0};
  struct framevec_read_pfns arg = {
      .size = sizeof(arg), .count = vector->frames, .pfns = address(pfns)};
  const unsigned first = (unsigned)(vector->start / PAGE);
  oracle->steps++;
  const int result = call(vector->fd, FRAMEVEC_IOC_READ_PFNS, &arg);
  if (result != 0) found(oracle, "READ_PFNS of %u frames: %d", vector->frames, result);
  for (unsigned i = 0; i < vector->frames; i++) {
    if (pfns[i] != vector->pfns[i])
      found(oracle, "frame %u of %u is %llx, and it was %llx when it was pinned", i, vector->frames,
            (unsigned long long)pfns[i], (unsigned long long)vector->pfns[i]);
    if (vector->pinned && frame_at(oracle, oracle->place + (first + i) * PAGE) != pfns[i])
      found(oracle, "frame %u of %u is %llx, and pagemap says %llx", i, vector->frames,
            (unsigned long long)pfns[i],
            (unsigned long long)frame_at(oracle, oracle->place + (first + i) * PAGE));
  }
}

static void check_runs(struct oracle* oracle, struct oracle_vector* vector) {
  uint64_t pfns[PLACE_PAGES];
  uint32_t counts[PLACE_PAGES];
  struct framevec_extents arg = {.size = sizeof(arg),
                                 .capacity = PLACE_PAGES,
                                 .pfns = address(pfns),
                                 .counts = address(counts)};
  oracle->steps++;
  const int result = call(vector->fd, FRAMEVEC_IOC_EXTENTS, &arg);
  if (result != 0 || arg.next != vector->frames) found(oracle, "EXTENTS: %d", result);
  for (unsigned e = 0, i = 0; i < vector->frames; e++) {
    const unsigned begin = i;
    for (i++; i < vector->frames && vector->pfns[i] == vector->pfns[i - 1] + 1;) i++;
    if (e >= arg.extents || pfns[e] != vector->pfns[begin] || counts[e] != i - begin)
      found(oracle, "extent %u of %u is not the run that begins at frame %u", e, arg.extents,
            begin);
  }
}

/* read() of the whole range returns this process's own bytes and nothing else. */
static void check_bytes(struct oracle* oracle, struct oracle_vector* vector) {
  static char bytes[PLACE];
  oracle->steps++;
  const ssize_t n = pread(vector->fd, bytes, sizeof(bytes), 0);
  if (n != (ssize_t)vector->length)
    found(oracle, "read() of %llu bytes: %zd", (unsigned long long)vector->length, n);
  for (uint64_t at = 0; at < vector->length;) {
    const uint64_t place = vector->start + at;
    uint64_t some = PAGE - place % PAGE;
    if (some > vector->length - at) some = vector->length - at;
    const struct oracle_page* page = &vector->pages[place / PAGE - vector->start / PAGE];
    if (has_content(page->source) && memcmp(bytes + at, oracle->place + place, some) != 0)
      found(oracle, "read() returns other bytes than this process has written, at %llu of %llu",
            (unsigned long long)at, (unsigned long long)vector->length);
    at += some;
  }
}

static void check_held(struct oracle* oracle, struct oracle_vector* vector) {
  const struct framevec_stat stat = stat_of(oracle, vector);
  if (stat.frames != vector->frames || stat.length != vector->length ||
      ((stat.state & FRAMEVEC_STATE_GOT_REF) != 0) != vector->pinned)
    found(oracle, "STAT: %u frames, %llu bytes, state %u", stat.frames,
          (unsigned long long)stat.length, stat.state);
  check_numbers(oracle, vector);
  check_runs(oracle, vector);
  check_bytes(oracle, vector);
}

/* The frames of the place, and how often they are mapped: no pin and no unpin changes that. */
struct census {
  uint64_t frames[PLACE_PAGES], counts[PLACE_PAGES];
};

static void take_census(struct oracle* oracle, struct census* census) {
  const off_t at = (off_t)(address(oracle->place) / PAGE * sizeof(uint64_t));
  if (pread(oracle->pagemap, census->frames, sizeof(census->frames), at) !=
      (ssize_t)sizeof(census->frames))
    die("pagemap");
  for (unsigned i = 0; i < PLACE_PAGES; i++) {
    const enum source source = oracle->pages[i].source;
    const bool there = census->frames[i] >> 63 && (source == ANONYMOUS || source == SHARED);
    census->frames[i] = there ? census->frames[i] & ((1ULL << 55) - 1) : 0;
    census->counts[i] = there ? number_at(oracle->counts, census->frames[i]) : 0;
  }
}

static void check_census(struct oracle* oracle, const struct census* before, const char* what) {
  struct census after;
  take_census(oracle, &after);
  for (unsigned i = 0; i < PLACE_PAGES; i++)
    if (after.frames[i] == before->frames[i] && after.counts[i] != before->counts[i])
      found(oracle, "%s: frame %llx was mapped %llu times and is mapped %llu times", what,
            (unsigned long long)after.frames[i], (unsigned long long)before->counts[i],
            (unsigned long long)after.counts[i]);
}

/* What is in the way of a hold. */
enum trouble { NOTHING, ANSWER, SIGNAL, LIMIT, TROUBLES };

static void on_alarm(int number) { (void)number; }

static void every(long microseconds) {
  const struct timeval time = {0, microseconds};
  const struct itimerval timer = {time, time};
  if (setitimer(ITIMER_REAL, &timer, NULL) != 0) die("setitimer");
}

static void limit(uint64_t frames) {
  const struct rlimit limit = {frames == RLIM_INFINITY ? frames : frames * PAGE, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) die("setrlimit");
}

static unsigned pinned_frames(const struct oracle* oracle) {
  unsigned sum = 0;
  for (unsigned i = 0; i < OWN_VECTORS; i++)
    if (oracle->vectors[i].pinned) sum += oracle->vectors[i].frames;
  return sum;
}

static int troubled_pin(struct oracle* oracle, int fd, struct framevec_pin* arg,
                        enum trouble trouble, unsigned spare) {
  int result;
  oracle->steps++;
  switch (trouble) {
    case ANSWER:
      memcpy(oracle->answer, arg, sizeof(*arg));
      if (mprotect(oracle->answer, PAGE, PROT_READ) != 0) die("mprotect");
      result = call(fd, FRAMEVEC_IOC_PIN, oracle->answer);
      if (mprotect(oracle->answer, PAGE, PROT_READ | PROT_WRITE) != 0) die("mprotect");
      return result;
    case SIGNAL:
      every(1 + oracle_below(oracle, 150));
      result = call(fd, FRAMEVEC_IOC_PIN, arg);
      every(0);
      return result;
    case LIMIT:
      limit(pinned_frames(oracle) + spare);
      result = call(fd, FRAMEVEC_IOC_PIN, arg);
      limit(RLIM_INFINITY);
      return result;
    default:
      return call(fd, FRAMEVEC_IOC_PIN, arg);
  }
}

/* How many of the pages can be held together. */
static unsigned holdable(const struct oracle_page* pages, unsigned n, bool write) {
  const int prot = write ? PROT_WRITE : PROT_READ;
  unsigned i = 0;
  while (i < n && (pages[i].prot & prot) != 0 && fit(pages[0].source, pages[i].source)) i++;
  return i;
}

/* Which frames these are, by pagemap's word, or by what was told of device memory before. */
static void note_frames(struct oracle* oracle, struct oracle_vector* vector) {
  struct framevec_read_pfns arg = {
      .size = sizeof(arg), .count = vector->frames, .pfns = address(vector->pfns)};
  const uint64_t first = vector->start / PAGE;
  oracle->steps++;
  const int result = call(vector->fd, FRAMEVEC_IOC_READ_PFNS, &arg);
  if (result != 0) found(oracle, "READ_PFNS of %u new frames: %d", vector->frames, result);
  for (unsigned i = 0; i < vector->frames; i++) {
    const struct oracle_page* page = &vector->pages[i];
    uint64_t* known = &oracle->known[page->source][page->offset];
    if (vector->pinned)
      vector->pfns[i] = frame_at(oracle, oracle->place + (first + i) * PAGE);
    else if (*known == 0)
      *known = vector->pfns[i];
    else if (*known != vector->pfns[i])
      found(oracle, "page %u of device memory %d was frame %llx and is %llx", page->offset,
            (int)page->source, (unsigned long long)*known, (unsigned long long)vector->pfns[i]);
  }
}

enum where { ANYWHERE, BORDER, KERNELS, RESERVED };

/* A page after which something else comes: what a hold has to notice in the middle. */
static unsigned before_border(struct oracle* oracle) {
  unsigned at = oracle_below(oracle, PLACE_PAGES - RESERVE);
  while (oracle->pages[at].source == oracle->pages[at + 1].source)
    at = (at + 1) % (PLACE_PAGES - 1);
  return at;
}

static void hold(struct oracle* oracle, struct oracle_vector* vector, enum where where) {
  static const uint32_t all_flags[] = {0, FRAMEVEC_PIN_WRITE, FRAMEVEC_PIN_PARTIAL,
                                       FRAMEVEC_PIN_WRITE | FRAMEVEC_PIN_PARTIAL};
  struct oracle_page pages[PLACE_PAGES] = {0};
  const bool kernel = where == KERNELS;
  const unsigned all = kernel ? oracle->kernel_pages : PLACE_PAGES;
  const unsigned first = where == BORDER     ? before_border(oracle)
                         : where == RESERVED ? PLACE_PAGES - 1 - oracle_below(oracle, RESERVE)
                                             : oracle_below(oracle, all);
  unsigned n = where == BORDER ? 2 + oracle_below(oracle, 4)
                               : 1 + oracle_below(oracle, oracle_below(oracle, 4) == 0 ? 40 : 8);
  if (n > all - first) n = all - first;
  for (unsigned i = 0; i < n; i++)
    pages[i] =
        kernel ? (struct oracle_page){KERNEL, first + i, PROT_READ} : oracle->pages[first + i];

  const unsigned skew = oracle_below(oracle, 2) == 0 ? 0 : oracle_below(oracle, PAGE);
  const unsigned spare = oracle_below(oracle, 12);
  const enum trouble trouble =
      oracle_below(oracle, 2) == 0 ? NOTHING : (enum trouble)oracle_below(oracle, TROUBLES);
  struct framevec_pin arg = {.size = sizeof(arg), .flags = all_flags[oracle_below(oracle, 4)]};
  const bool write = arg.flags & FRAMEVEC_PIN_WRITE, partial = arg.flags & FRAMEVEC_PIN_PARTIAL;
  arg.addr = address(kernel ? oracle->kernel : oracle->place) + first * PAGE + skew;
  arg.length = n * PAGE - skew - (n > 1 ? oracle_below(oracle, PAGE) : 0);

  const int result = troubled_pin(oracle, vector->fd, &arg, trouble, spare);
  const unsigned can = holdable(pages, n, write);
  const bool limited = trouble == LIMIT && !is_device(pages[0].source);
  oracle->tries[trouble]++;
  /* The user's count has a page for each vector that holds nothing. */
  if (result != 0) {
    oracle->failed[trouble]++;
    const bool expected = trouble == ANSWER || (trouble == SIGNAL && result == -EINTR) ||
                          (limited && spare < n + OWN_VECTORS) || kernel ||
                          (partial ? can == 0 : can < n);
    if (!expected)
      found(oracle,
            "PIN of %u pages from %u, flags %u: %d, reason %u; scope %u needs %llu, uses %llu of "
            "%llu; "
            "%u are pinned",
            n, first, arg.flags, result, arg.reason, arg.memlock_scope,
            (unsigned long long)arg.memlock_need, (unsigned long long)arg.memlock_used,
            (unsigned long long)arg.memlock_limit, pinned_frames(oracle));
    check_empty(oracle, vector);
    return;
  }
  const bool whole = trouble != SIGNAL && !limited && !kernel;
  if (trouble == ANSWER || arg.frames == 0 || arg.frames > can || (whole && arg.frames < can) ||
      (limited && arg.frames > spare) || (!partial && arg.frames < n))
    found(oracle, "PIN of %u pages from %u, flags %u, trouble %d holds %u, of %u that can be held",
          n, first, arg.flags, (int)trouble, arg.frames, can);
  vector->frames = arg.frames;
  vector->pinned = !is_device(pages[0].source);
  vector->write = write;
  vector->start = first * PAGE + skew;
  vector->length = arg.frames * PAGE - skew;
  if (vector->length > arg.length) vector->length = arg.length;
  memcpy(vector->pages, pages, sizeof(pages));
  note_frames(oracle, vector);
  check_held(oracle, vector);
}

/* Frames without a struct page can't become pages; else it always works. */
static void turn(struct oracle* oracle, struct oracle_vector* vector) {
  struct framevec_convert arg = {.size = sizeof(arg)};
  const bool pages = stat_of(oracle, vector).kind == FRAMEVEC_KIND_PFNS;
  const enum source source = vector->pages[0].source;
  const int right = pages && (source == UNCACHED || source == COMBINING) ? -EINVAL : 0;
  oracle->steps++;
  const int result = call(vector->fd, pages ? FRAMEVEC_IOC_TO_PAGES : FRAMEVEC_IOC_TO_PFNS, &arg);
  if (result != right) found(oracle, "a conversion to %s: %d", pages ? "pages" : "numbers", result);
}

/* What is written there comes to be in this process's memory. */
static void write_bytes(struct oracle* oracle, struct oracle_vector* vector) {
  char bytes[300];
  const uint64_t at = oracle_next(oracle) % vector->length;
  uint64_t n = 1 + oracle_below(oracle, sizeof(bytes));
  if (n > vector->length - at) n = vector->length - at;
  if (!has_content(vector->pages[0].source)) return;
  memset(bytes, (int)oracle_next(oracle), n);
  oracle->steps++;
  const ssize_t done = pwrite(vector->fd, bytes, n, (off_t)at);
  if (done != (ssize_t)n) found(oracle, "write() of %llu bytes: %zd", (unsigned long long)n, done);
  if (memcmp(oracle->place + vector->start + at, bytes, n) != 0)
    found(oracle, "what write() has written is not in this process's memory");
}

static void release(struct oracle* oracle, struct oracle_vector* vector) {
  struct framevec_unpin arg = {.size = sizeof(arg)};
  oracle->steps++;
  const int result = call(vector->fd, FRAMEVEC_IOC_UNPIN, &arg);
  if (result != 0 || arg.frames != vector->frames) found(oracle, "UNPIN: %d", result);
  vector->frames = 0;
  vector->pinned = false;
  check_empty(oracle, vector);
}

static void step(struct oracle* oracle) {
  struct census before;
  struct oracle_vector* vector = &oracle->vectors[oracle_below(oracle, OWN_VECTORS)];
  take_census(oracle, &before);
  const char* what = "a hold";
  if (vector->frames == 0) {
    /* What a hold that fails leaves behind, the next one meets: often of memory that it can hold.
     */
    for (unsigned i = 0; i < 3 && vector->frames == 0; i++)
      hold(oracle, vector,
           i > 0 && oracle_below(oracle, 2) == 0                      ? RESERVED
           : oracle->kernel_pages > 0 && oracle_below(oracle, 8) == 0 ? KERNELS
           : oracle_below(oracle, 2) == 0                             ? BORDER
                                                                      : ANYWHERE);
  } else {
    switch (oracle_below(oracle, 4)) {
      case 0:
        what = "a release";
        release(oracle, vector);
        break;
      case 1:
        what = "a write";
        if (vector->write) write_bytes(oracle, vector);
        break;
      default:
        what = "a conversion";
        turn(oracle, vector);
    }
    if (vector->frames > 0) check_held(oracle, vector);
  }
  check_census(oracle, &before, what);
  if (status_kb("VmPin") != (long)(pinned_frames(oracle) * PAGE / 1024))
    found(oracle, "VmPin is %ld kB, and %u frames are pinned", status_kb("VmPin"),
          pinned_frames(oracle));
}

/* Device memory that the kernel maps into each process; a fault does not provide every page. */
static void find_kernel_memory(struct oracle* oracle) {
  char line[256];
  unsigned long start = 0, end = 0, from, to;
  bool here = false;
  FILE* file = fopen("/proc/self/smaps", "re");
  if (file == NULL) die("/proc/self/smaps");
  while (fgets(line, sizeof(line), file) != NULL) {
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
      here = strstr(line, "[vvar") != NULL;
      start = from;
      end = to;
    } else if (here && strncmp(line, "VmFlags:", 8) == 0 && oracle->kernel == NULL &&
               (strstr(line, " pf") != NULL || strstr(line, " io") != NULL)) {
      oracle->kernel = (char*)start;
      oracle->kernel_pages = (unsigned)((end - start) / PAGE);
      if (oracle->kernel_pages > KERNEL_PAGES) oracle->kernel_pages = KERNEL_PAGES;
    }
  }
  fclose(file);
}

static int opened(const char* path, const char* more, int flags) {
  char name[256];
  snprintf(name, sizeof(name), "%s%s", path, more);
  const int fd = open(name, flags | O_CLOEXEC);
  if (fd < 0) die("%s", name);
  return fd;
}

/* RLIMIT_MEMLOCK is to count, and the rest of what root may is needed. */
static void drop_ipc_lock(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) die("capget");
  data[0].effective &= ~(1U << CAP_IPC_LOCK);
  data[0].permitted &= ~(1U << CAP_IPC_LOCK);
  if (syscall(SYS_capset, &header, data) != 0) die("capset");
}

/* @bar: the file of a PCI device's memory; the same with _wc behind it maps it write-combining. */
static void oracle_begin(struct oracle* oracle, int device, const char* bar, uint64_t seed) {
  oracle->state = seed;
  oracle->device = device;
  oracle->bar = opened(bar, "", O_RDWR);
  oracle->combining = opened(bar, "_wc", O_RDWR);
  oracle->pagemap = opened("/proc/self/pagemap", "", O_RDONLY);
  oracle->counts = opened("/proc/kpagecount", "", O_RDONLY);
  oracle->file = memfd_create("oracle", MFD_CLOEXEC);
  if (oracle->file < 0 || ftruncate(oracle->file, FILE_PAGES * PAGE) != 0) die("memfd_create");
  oracle->place = mmap(NULL, PLACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (oracle->place == MAP_FAILED) die("mmap");
  oracle->answer = map(PAGE, -1, 0);
  find_kernel_memory(oracle);
  limit(RLIM_INFINITY);
  drop_ipc_lock();
  const struct sigaction action = {.sa_handler = on_alarm};
  if (sigaction(SIGALRM, &action, NULL) != 0) die("sigaction");
  for (unsigned i = 0; i < OWN_VECTORS; i++) {
    oracle->vectors[i].fd = create(device, PLACE_PAGES);
    if (oracle->vectors[i].fd < 0) die("CREATE");
  }
}

/* New memory, and some steps on it, after which the vectors are empty. */
static void oracle_round(struct oracle* oracle) {
  if (oracle->steps == 0) lay(oracle, PLACE_PAGES - RESERVE, RESERVE, ANONYMOUS);
  for (unsigned n = oracle->steps == 0 ? 20 : 1 + oracle_below(oracle, 6); n > 0; n--)
    lay_something(oracle);
  for (unsigned n = oracle_below(oracle, 30); n > 0; n--) step(oracle);
  for (unsigned i = 0; i < OWN_VECTORS; i++)
    if (oracle->vectors[i].frames > 0) release(oracle, &oracle->vectors[i]);
}

#endif
