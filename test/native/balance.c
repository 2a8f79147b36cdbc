/*
 * balance: what is still held of framevec, by anybody. Prints a line of JSON. Started by root.
 *
 * Nobody can read user->locked_vm, but a CREATE that RLIMIT_MEMLOCK refuses tells it.
 */
#include <dirent.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common.h"

/* The users as whom the tests pin without CAP_IPC_LOCK. */
static const uid_t users[] = {0, 65534, 65533};

static int device;

static void drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  if (syscall(SYS_capset, &header, none) != 0) die("capset");
}

/* In a process of its own: pages charged to a user. */
static void ask_charged(uid_t user, uint64_t* charged) {
  const struct rlimit limit = {0, 0};
  struct framevec_create arg = {.size = sizeof(arg), .capacity = 1};
  if (setresuid(user, user, user) != 0) die("setresuid");
  drop_capabilities();
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) die("RLIMIT_MEMLOCK");
  if (call(device, FRAMEVEC_IOC_CREATE, &arg) != -ENOMEM ||
      arg.memlock_scope != FRAMEVEC_MEMLOCK_USER)
    die("CREATE without RLIMIT_MEMLOCK");
  *charged = arg.memlock_used;
}

static uint64_t charged_to_all(void) {
  uint64_t* charged = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  uint64_t sum = 0;
  if (charged == MAP_FAILED) die("mmap");
  for (size_t i = 0; i < COUNT(users); i++) {
    int status;
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) {
      ask_charged(users[i], charged);
      _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) die("user %u", users[i]);
    sum += *charged;
  }
  munmap(charged, PAGE);
  return sum;
}

/* What the processes have open: descriptors of vectors and of the device, and mappings of it. */
struct held {
  long vectors, devices, mappings;
};

static void look_at_descriptors(const char* process, struct held* held) {
  char path[64], target[64];
  snprintf(path, sizeof(path), "/proc/%.20s/fd", process);
  DIR* descriptors = opendir(path);
  if (descriptors == NULL) return; /* it has ended */
  for (struct dirent* entry; (entry = readdir(descriptors)) != NULL;) {
    const ssize_t length =
        readlinkat(dirfd(descriptors), entry->d_name, target, sizeof(target) - 1);
    if (length < 0) continue;
    target[length] = 0;
    held->vectors += strcmp(target, "anon_inode:[framevec]") == 0;
    held->devices += strcmp(target, FRAMEVEC_DEVICE) == 0;
  }
  closedir(descriptors);
}

static void look_at_mappings(const char* process, struct held* held) {
  char path[64], line[512];
  snprintf(path, sizeof(path), "/proc/%.20s/maps", process);
  FILE* file = fopen(path, "re");
  if (file == NULL) return;
  while (fgets(line, sizeof(line), file) != NULL)
    held->mappings += strstr(line, FRAMEVEC_DEVICE) != NULL;
  fclose(file);
}

static struct held look_at_processes(void) {
  struct held held = {0, 0, 0};
  DIR* processes = opendir("/proc");
  if (processes == NULL) die("/proc");
  for (struct dirent* process; (process = readdir(processes)) != NULL;) {
    if (process->d_name[0] < '0' || process->d_name[0] > '9') continue;
    look_at_descriptors(process->d_name, &held);
    look_at_mappings(process->d_name, &held);
  }
  closedir(processes);
  return held;
}

static long module_references(void) {
  long references = -1;
  FILE* file = fopen("/sys/module/framevec/refcnt", "re");
  if (file == NULL || fscanf(file, "%ld", &references) != 1) die("refcnt");
  fclose(file);
  return references;
}

int main(void) {
  device = open(FRAMEVEC_DEVICE, O_RDWR | O_CLOEXEC);
  if (device < 0) die(FRAMEVEC_DEVICE);
  const uint64_t charged = charged_to_all();
  close(device);
  const struct held held = look_at_processes();
  printf("{\"charged\":%lu,\"vectors\":%ld,\"devices\":%ld,\"mappings\":%ld,\"references\":%ld}\n",
         (unsigned long)charged, held.vectors, held.devices, held.mappings, module_references());
  return 0;
}
