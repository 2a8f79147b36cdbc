// Raw system calls for tests: what the library would never do, a test must try.
// Not part of the package.

#include <errno.h>
#include <napi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using Call = std::array<long, 7>;

// A number, a bigint, or the address of a view's first byte.
bool ToLong(const Napi::Value& value, long* out) {
  if (value.IsNumber()) {
    *out = static_cast<long>(value.As<Napi::Number>().Int64Value());
    return true;
  }
  if (value.IsBigInt()) {
    bool lossless = false;
    *out = static_cast<long>(value.As<Napi::BigInt>().Uint64Value(&lossless));
    return true;
  }
  void* data = nullptr;
  if (value.IsTypedArray()) {
    size_t length = 0, offset = 0;
    napi_typedarray_type type;
    napi_value buffer = nullptr;
    if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, &buffer, &offset) !=
        napi_ok) {
      return false;
    }
  } else if (value.IsArrayBuffer()) {
    data = value.As<Napi::ArrayBuffer>().Data();
  } else {
    return false;
  }
  *out = reinterpret_cast<long>(data);
  return true;
}

Napi::Value Refuse(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

long Issue(const Call& call) {
  const long result = syscall(call[0], call[1], call[2], call[3], call[4], call[5], call[6]);
  return result == -1 ? -errno : result;
}

// syscall(nr, ...args): bigint, negative: -errno
Napi::Value Syscall(const Napi::CallbackInfo& info) {
  Call call{};
  for (size_t i = 0; i < info.Length() && i < call.size(); i++) {
    if (!ToLong(info[i], &call[i])) return Refuse(info.Env(), "a number, a bigint or a view");
  }
  return Napi::BigInt::New(info.Env(), static_cast<int64_t>(Issue(call)));
}

// inChild([[nr, ...args], ...]): bigint[]: the same, one after the other in a forked child
Napi::Value InChild(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArray()) return Refuse(env, "an array of calls");
  const Napi::Array list = info[0].As<Napi::Array>();
  std::vector<Call> calls(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Array words = list.Get(i).As<Napi::Array>();
    calls[i].fill(0);
    for (uint32_t j = 0; j < words.Length() && j < calls[i].size(); j++) {
      if (!ToLong(words.Get(j), &calls[i][j])) return Refuse(env, "a number, a bigint or a view");
    }
  }
  const size_t size = (calls.size() + 1) * sizeof(long);
  void* shared = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return Refuse(env, "mmap failed");
  long* results = static_cast<long*>(shared);

  const pid_t child = fork();
  if (child == 0) {
    // Who has a page fail with MADV_HWPOISON is sent one, since 6.11.
    signal(SIGBUS, [](int) {});
    for (size_t i = 0; i < calls.size(); i++) results[i] = Issue(calls[i]);
    _exit(0);
  }
  int status = -1;
  if (child > 0) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  }
  Napi::Array out = Napi::Array::New(env, calls.size());
  for (uint32_t i = 0; i < calls.size(); i++) {
    out.Set(i, Napi::BigInt::New(env, static_cast<int64_t>(results[i])));
  }
  munmap(shared, size);
  if (status != 0) return Refuse(env, "the child did not end well");
  return out;
}

// child(): number: a forked child that touches nothing until it is killed
Napi::Value Child(const Napi::CallbackInfo& info) {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  return Napi::Number::New(info.Env(), child);
}

// interrupted(microseconds, nr, ...args): bigint: a syscall that this thread is sent SIGALRM in the
// middle of, with a handler without SA_RESTART. Again and again: the first may come before the
// kernel is entered.
Napi::Value Interrupted(const Napi::CallbackInfo& info) {
  long delay = 0;
  Call call{};
  if (!ToLong(info[0], &delay)) return Refuse(info.Env(), "microseconds");
  for (size_t i = 1; i < info.Length() && i <= call.size(); i++) {
    if (!ToLong(info[i], &call[i - 1])) {
      return Refuse(info.Env(), "a number, a bigint or a view");
    }
  }
  struct sigaction ours = {}, before = {};
  ours.sa_handler = [](int) {};
  sigaction(SIGALRM, &ours, &before);
  sigset_t set, blocked;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &set, &blocked);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return Refuse(info.Env(), "no timer");
  const timespec period = {delay / 1000000, delay % 1000000 * 1000};
  const itimerspec when = {period, period};
  timer_settime(timer, 0, &when, nullptr);
  const long result = Issue(call);
  timer_delete(timer);
  pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  return Napi::BigInt::New(info.Env(), static_cast<int64_t>(result));
}

// view(address, length): ArrayBuffer over memory that the test has mapped
Napi::Value View(const Napi::CallbackInfo& info) {
  long address = 0;
  if (!ToLong(info[0], &address) || !info[1].IsNumber()) {
    return Refuse(info.Env(), "an address and a length");
  }
  return Napi::ArrayBuffer::New(info.Env(), reinterpret_cast<void*>(address),
                                static_cast<size_t>(info[1].As<Napi::Number>().Int64Value()));
}

// address(view): bigint
Napi::Value Address(const Napi::CallbackInfo& info) {
  long address = 0;
  if (!ToLong(info[0], &address)) return Refuse(info.Env(), "a view");
  return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(address));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("syscall", Napi::Function::New<Syscall>(env));
  exports.Set("inChild", Napi::Function::New<InChild>(env));
  exports.Set("child", Napi::Function::New<Child>(env));
  exports.Set("interrupted", Napi::Function::New<Interrupted>(env));
  exports.Set("view", Napi::Function::New<View>(env));
  exports.Set("address", Napi::Function::New<Address>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(raw, Init)
