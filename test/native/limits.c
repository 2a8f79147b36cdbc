/*
 * limits WHAT [ARGUMENT...]: what an unprivileged user can have pinned and allocated, and how often
 * one page can be pinned. Prints a line of JSON. Started by root, who alone may open the device.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common.h"

#define NOBODY 65534

static int device;

/* --- calls and processes ---------------------------------------------------------------------- */

struct told {
  int result; /* 0 or a negative errno */
  uint32_t frames, reason, scope;
};

static struct told try_create(uint64_t capacity, int* vector) {
  struct framevec_create arg = {.size = sizeof(arg), .capacity = capacity};
  const int result = call(device, FRAMEVEC_IOC_CREATE, &arg);
  *vector = result < 0 ? -1 : arg.fd;
  return (struct told){.result = result, .scope = arg.memlock_scope};
}

static struct told try_pin(int vector, const void* at, uint64_t length, uint32_t flags) {
  struct framevec_pin arg = {
      .size = sizeof(arg), .flags = flags, .addr = address(at), .length = length};
  const int result = call(vector, FRAMEVEC_IOC_PIN, &arg);
  return (struct told){result, arg.frames, arg.reason, arg.memlock_scope};
}

static void become(uid_t user) {
  /* Root must be able to come back, where a program asks for that. */
  if (setresuid(user, user, 0) != 0) die("setresuid");
}

static void set_memlock(uint64_t pages) {
  const struct rlimit limit = {pages * PAGE, pages * PAGE};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) die("RLIMIT_MEMLOCK");
}

/* Creates a vector and pins with it, of fresh memory. */
static struct told hold(uint64_t pages, int* vector) {
  struct told told = try_create(pages, vector);
  if (told.result == 0)
    told = try_pin(*vector, map(pages * PAGE, -1, 0), pages * PAGE, FRAMEVEC_PIN_WRITE);
  return told;
}

static void send_fd(int socket, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec iov = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){
      .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  if (sendmsg(socket, &message, 0) != 1) die("sendmsg");
}

static int receive_fd(int socket) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  int fd;
  if (recvmsg(socket, &message, 0) != 1) return -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

static int wait_for(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child) die("waitpid");
  return status;
}

/* Can a process of this user pin as much as the limit allows? Frames pinned, or a negative errno.
 */
static int can_pin(uid_t user, uint64_t pages) {
  int pipes[2], answer = 0;
  if (pipe(pipes) != 0) die("pipe");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    int vector;
    become(user);
    const struct told told = hold(pages, &vector);
    answer = told.result != 0 ? told.result : (int)told.frames;
    _exit(write(pipes[1], &answer, sizeof(answer)) != sizeof(answer));
  }
  close(pipes[1]);
  if (read(pipes[0], &answer, sizeof(answer)) != sizeof(answer)) die("the child said nothing");
  close(pipes[0]);
  wait_for(child);
  return answer;
}

/* --- escape CHILDREN PAGES: each pins the limit, passes its vector on and ends ------------------
 */

static void escape(int argc, char** argv) {
  const int children = argc > 0 ? atoi(argv[0]) : 20;
  const uint64_t pages = argc > 1 ? strtoul(argv[1], NULL, 0) : 2048;
  int held = 0, by_user = 0, others = 0, *vectors = calloc((size_t)children, sizeof(int));
  struct told* told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (told == MAP_FAILED || vectors == NULL) die("mmap");
  set_memlock(pages);
  for (int i = 0; i < children; i++) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      int vector;
      become(NOBODY);
      *told = hold(pages, &vector);
      if (told->result == 0) send_fd(pair[1], vector);
      _exit(0);
    }
    close(pair[1]);
    const int fd = receive_fd(pair[0]);
    close(pair[0]);
    wait_for(child);
    if (fd >= 0)
      vectors[held++] = fd;
    else if (told->result == -ENOMEM && told->scope == FRAMEVEC_MEMLOCK_USER)
      by_user++;
    else
      others++;
  }
  const int meanwhile = can_pin(NOBODY, pages);
  for (int i = 0; i < held; i++) close(vectors[i]);
  printf("{\"held\":%d,\"by_user\":%d,\"others\":%d,\"meanwhile\":%d,\"after\":%d}\n", held,
         by_user, others, meanwhile, can_pin(NOBODY, pages));
}

/* --- empty CAPACITY MOST PAGES: vectors that hold nothing ---------------------------------------
 */

static void empty(int argc, char** argv) {
  const uint64_t capacity = argc > 0 ? strtoul(argv[0], NULL, 0) : 131072;
  const int most = argc > 1 ? atoi(argv[1]) : 200;
  const uint64_t pages = argc > 2 ? strtoul(argv[2], NULL, 0) : 2048;
  const struct rlimit files = {(rlim_t)most + 64, (rlim_t)most + 64};
  int count = 0, vector = -1, refused = 0;
  struct told told = {0};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("RLIMIT_NOFILE");
  set_memlock(pages);
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    become(NOBODY);
    for (; count < most; count++) {
      told = try_create(capacity, &vector);
      if (told.result != 0) break;
    }
    refused = told.result;
    printf("{\"count\":%d,\"result\":%d,\"scope\":%u", count, refused, told.scope);
    fflush(stdout);
    _exit(0);
  }
  if (wait_for(child) != 0) die("the child");
  printf(",\"after\":%d}\n", can_pin(NOBODY, pages));
}

/* --- wear MAPPINGS VECTORS: one page, mapped and pinned as often as that ------------------------
 */

static void wear(int argc, char** argv) {
  const size_t mappings = argc > 0 ? strtoul(argv[0], NULL, 0) : 32000;
  const int most = argc > 1 ? atoi(argv[1]) : 80;
  const int file = memfd_create("one page", 0);
  struct told told = {0};
  long pins = 0;
  char* base;
  if (file < 0 || ftruncate(file, PAGE) != 0) die("memfd");
  base = mmap(NULL, mappings * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) die("mmap");
  for (size_t i = 0; i < mappings; i++)
    if (mmap(base + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) ==
        MAP_FAILED)
      die("mmap %zu", i);
  memset(base, 1, PAGE);
  for (int i = 0; i < most && told.result == 0; i++) {
    const int vector = create(device, mappings);
    if (vector < 0) die("CREATE");
    told = try_pin(vector, base, mappings * PAGE, FRAMEVEC_PIN_WRITE);
    if (told.result == 0) pins += told.frames;
  }
  printf("{\"pins\":%ld,\"result\":%d,\"reason\":%u}\n", pins, told.result, told.reason);
}

/* --- zero MIB: memory that nobody has touched, for read -----------------------------------------
 */

static void zero(int argc, char** argv) {
  const size_t length = (argc > 0 ? strtoul(argv[0], NULL, 0) : 8192) << 20;
  const int vector = create(device, length / PAGE);
  char* base = mmap(NULL, length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED || vector < 0) die("8 GiB");
  if (madvise(base, length, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) die("MADV_NOHUGEPAGE");
  const struct told told = try_pin(vector, base, length, 0);
  printf("{\"frames\":%u,\"result\":%d,\"reason\":%u}\n", told.frames, told.result, told.reason);
}

/* --- refund HOW PAGES: what was charged comes back, whichever way the pin ends ------------------
 */

static void refund(int argc, char** argv) {
  const char* how = argc > 0 ? argv[0] : "unpin";
  const uint64_t pages = argc > 1 ? strtoul(argv[1], NULL, 0) : 64;
  int pair[2], vector, passed = -1, meanwhile;
  char byte = 0;
  set_memlock(pages);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) die("socketpair");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    struct framevec_unpin unpin = {.size = sizeof(unpin)};
    close(pair[0]);
    become(NOBODY);
    const struct told told = hold(pages, &vector);
    if (told.result != 0) _exit(1);
    send_fd(pair[1], vector);
    if (read(pair[1], &byte, 1) != 1) _exit(1);
    if (strcmp(how, "unpin") == 0) {
      if (call(vector, FRAMEVEC_IOC_UNPIN, &unpin) != 0) _exit(1);
      close(vector);
    } else if (strcmp(how, "close") == 0) {
      close(vector);
    } else if (strcmp(how, "exec") == 0) {
      execl("/bin/sleep", "sleep", "60", NULL);
      _exit(1);
    } else if (strcmp(how, "kill") == 0) {
      raise(SIGKILL);
    } else if (strcmp(how, "passed") == 0) {
      _exit(0);
    }
    if (write(pair[1], "d", 1) != 1) _exit(1);
    if (read(pair[1], &byte, 1) != 0) _exit(1);
    _exit(0);
  }
  close(pair[1]);
  passed = receive_fd(pair[0]);
  if (passed < 0) die("the child could not pin");
  meanwhile = can_pin(NOBODY, pages);
  if (strcmp(how, "passed") != 0) close(passed);
  if (write(pair[0], "g", 1) != 1) die("write");
  if (strcmp(how, "passed") == 0) {
    /* The process is gone, its pin is not. */
    wait_for(child);
    meanwhile = meanwhile < 0 ? can_pin(NOBODY, pages) : meanwhile;
    close(passed);
  } else if (strcmp(how, "kill") == 0) {
    wait_for(child);
  } else {
    /* Of exec, the end of the socket: it is closed by then, and the vector is. */
    if (read(pair[0], &byte, 1) < 0) die("read");
  }
  printf("{\"meanwhile\":%d,\"after\":%d}\n", meanwhile, can_pin(NOBODY, pages));
  kill(child, SIGKILL);
}

/* --- setuid PAGES: created as one user, pinned as another ---------------------------------------
 */

static void change_user(int argc, char** argv) {
  const uint64_t pages = argc > 0 ? strtoul(argv[0], NULL, 0) : 64;
  const uid_t creator = NOBODY, pinner = NOBODY - 1;
  int vector;
  set_memlock(pages);
  if (setresuid(creator, creator, 0) != 0) die("setresuid");
  const struct told made = try_create(pages, &vector);
  if (made.result != 0) die("CREATE");
  if (setresuid(-1, 0, -1) != 0 || setresuid(pinner, pinner, 0) != 0) die("setresuid");
  const struct told told =
      try_pin(vector, map(pages * PAGE, -1, 0), pages * PAGE, FRAMEVEC_PIN_WRITE);
  if (setresuid(-1, 0, -1) != 0 || setresuid(0, 0, 0) != 0) die("setresuid");
  /* The creator pays for the vector's memory, a few pages; the pinner for the frames. */
  const int creator_all = can_pin(creator, pages), creator_half = can_pin(creator, pages / 2);
  const int pinner_one = can_pin(pinner, 1);
  close(vector);
  printf(
      "{\"result\":%d,\"frames\":%u,\"creator_all\":%d,\"creator_half\":%d,\"pinner_one\":%d,"
      "\"creator_after\":%d,\"pinner_after\":%d}\n",
      told.result, told.frames, creator_all, creator_half, pinner_one, can_pin(creator, pages),
      can_pin(pinner, pages));
}

/* --- privileged PAGES: root's pins are not charged to root's user -------------------------------
 */

static void privileged(int argc, char** argv) {
  const uint64_t pages = argc > 0 ? strtoul(argv[0], NULL, 0) : 64;
  int vector, answer = 0, pipes[2];
  set_memlock(pages);
  const struct told told = hold(4 * pages, &vector);
  if (pipe(pipes) != 0) die("pipe");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    /* The same user, without the capability. */
    if (setresuid(-1, NOBODY, -1) != 0) _exit(1);
    const struct told weak = hold(pages, &vector);
    answer = weak.result != 0 ? weak.result : (int)weak.frames;
    _exit(write(pipes[1], &answer, sizeof(answer)) != sizeof(answer));
  }
  if (read(pipes[0], &answer, sizeof(answer)) != sizeof(answer)) die("the child said nothing");
  wait_for(child);
  printf("{\"result\":%d,\"frames\":%u,\"vmpin_kb\":%ld,\"without\":%d}\n", told.result,
         told.frames, status_kb("VmPin"), answer);
}

/* --- keep PAGES: as nobody, until the standard input ends ---------------------------------------
 */

static void keep(int argc, char** argv) {
  const uint64_t pages = argc > 0 ? strtoul(argv[0], NULL, 0) : 64;
  char byte;
  int vector;
  set_memlock(pages);
  become(NOBODY);
  const struct told told = hold(pages, &vector);
  printf("{\"result\":%d}\n", told.result);
  fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
}

/* --- threads PAGES ROUNDS: each wants more than half of the limit, so one at a time has it ------
 */

#define THREADS 4

static struct {
  uint64_t pages;
  int rounds;
  atomic_int holders;
  atomic_ulong pinned, refused, over, others;
} contest;

static void* contend(void* unused) {
  const int vector = create(device, contest.pages);
  char* at = map(contest.pages * PAGE, -1, MAP_POPULATE);
  struct framevec_unpin arg = {.size = sizeof(arg)};
  (void)unused;
  if (vector < 0) die("CREATE");
  for (int i = 0; i < contest.rounds; i++) {
    const struct told told = try_pin(vector, at, contest.pages * PAGE, 0);
    if (told.result == -ENOMEM) {
      atomic_fetch_add(&contest.refused, 1);
    } else if (told.result != 0) {
      atomic_fetch_add(&contest.others, 1);
    } else {
      if (atomic_fetch_add(&contest.holders, 1) > 0) atomic_fetch_add(&contest.over, 1);
      atomic_fetch_add(&contest.pinned, 1);
      atomic_fetch_sub(&contest.holders, 1);
      if (call(vector, FRAMEVEC_IOC_UNPIN, &arg) != 0) die("UNPIN");
    }
  }
  close(vector);
  return NULL;
}

static void threads(int argc, char** argv) {
  const uint64_t limit = argc > 0 ? strtoul(argv[0], NULL, 0) : 64;
  pthread_t all[THREADS];
  contest.pages = limit / 2 + 8;
  contest.rounds = argc > 1 ? atoi(argv[1]) : 5000;
  set_memlock(limit);
  become(NOBODY);
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&all[i], NULL, contend, NULL) != 0) die("thread");
  for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
  printf(
      "{\"pinned\":%lu,\"refused\":%lu,\"over\":%lu,\"others\":%lu,\"charged\":%ld,"
      "\"after\":%d}\n",
      atomic_load(&contest.pinned), atomic_load(&contest.refused), atomic_load(&contest.over),
      atomic_load(&contest.others), status_kb("VmPin"), can_pin(NOBODY, limit));
}

/* --- lives PROCESSES: each creates a vector, pins with it, and ends -----------------------------
 */

static void lives(int argc, char** argv) {
  const int count = argc > 0 ? atoi(argv[0]) : 400;
  int failed = 0;
  set_memlock(256);
  for (int i = 0; i < count; i++) {
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      int vector;
      become(NOBODY);
      _exit(hold(64, &vector).result != 0);
    }
    if (wait_for(child) != 0) failed++;
  }
  printf("{\"failed\":%d}\n", failed);
}

static const struct subcommand all[] = {
    {"escape", escape},   {"empty", empty},        {"wear", wear}, {"zero", zero},
    {"refund", refund},   {"setuid", change_user}, {"keep", keep}, {"privileged", privileged},
    {"threads", threads}, {"lives", lives},
};

int main(int argc, char** argv) {
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  run_subcommand(all, COUNT(all), argc, argv);
  return 0;
}
