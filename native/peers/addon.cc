// SPDX-License-Identifier: MIT
//
// What lib/bench/peers.ts sees. Zero or more is success, less is -errno of the call that step()
// names. It times calls on whatever memory it is told: for benchmarks, and no part of the package's
// own addon.
#include <napi.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "../arguments.h"
#include "../handle_table.h"
#include "peer.h"

namespace framevec::peers {
namespace {

using Napi::CallbackInfo;
using Napi::Value;

struct Named {
  std::string_view name;
  Opener* open;
};

constexpr std::array kPeers = {
    Named{"clock", OpenClock},       Named{"getppid", OpenGetppid},
    Named{"empty", OpenEmpty},       Named{"bad-descriptor", OpenBadDescriptor},
    Named{"framevec", OpenFramevec}, Named{"framevec-timed", OpenFramevecTimed},
    Named{"mlock", OpenMlock},       Named{"io_uring", OpenIoUring},
    Named{"v4l2", OpenV4l2},         Named{"af_xdp", OpenAfXdp},
    Named{"rdma_rxe", OpenRdmaRxe},  Named{"udmabuf", OpenUdmabuf},
};

// The sessions of an environment.
struct Sessions {
  HandleTable<std::unique_ptr<Peer>> table;
  Failure last;
};

Sessions& SessionsOf(const CallbackInfo& info) { return *static_cast<Sessions*>(info.Data()); }

Peer* Find(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return nullptr;
  std::unique_ptr<Peer>* found = SessionsOf(info).table.Find(handle);
  return found == nullptr ? nullptr : found->get();
}

int Fail(const CallbackInfo& info, const Failure& failure) {
  SessionsOf(info).last = failure;
  return -failure.error;
}

// Of a mistake that lib/ does not make.
Value Misused(const CallbackInfo& info) {
  return Answer(info, Fail(info, {EINVAL, "an argument of native/peers"}));
}

// open(name, view, write)
Value Open(const CallbackInfo& info) {
  std::string name;
  View view;
  int32_t write;
  if (!Get(info, 0, &name) || !Get(info, 1, &view) || view.length == 0 || !Get(info, 2, &write)) {
    return Misused(info);
  }
  for (const Named& peer : kPeers) {
    if (peer.name != name) continue;
    Failure failure;
    std::unique_ptr<Peer> opened =
        peer.open({reinterpret_cast<void*>(view.address), view.length, write != 0}, &failure);
    if (opened == nullptr) return Answer(info, Fail(info, failure));
    return Answer(info, SessionsOf(info).table.Insert(std::move(opened)));
  }
  return Misused(info);
}

// measure(handle, iterations, samples)
Value Measure(const CallbackInfo& info) {
  Peer* peer = Find(info);
  uint32_t iterations;
  View samples;
  if (peer == nullptr || !Get(info, 1, &iterations) || !Get(info, 2, &samples) ||
      samples.length / sizeof(double) / peer->columns() < iterations) {
    return Misused(info);
  }
  if (!peer->Measure(iterations, reinterpret_cast<double*>(samples.address))) {
    return Answer(info, Fail(info, peer->failure()));
  }
  return Answer(info, 0);
}

// loop(handle, iterations)
Value Loop(const CallbackInfo& info) {
  Peer* peer = Find(info);
  uint32_t iterations;
  if (peer == nullptr || !Get(info, 1, &iterations)) return Misused(info);
  double ns = 0;
  if (!peer->Loop(iterations, &ns)) return Answer(info, Fail(info, peer->failure()));
  napi_value result = nullptr;
  if (napi_create_double(info.Env(), ns, &result) != napi_ok) return Value();
  return Value(info.Env(), result);
}

// close(handle)
Value Close(const CallbackInfo& info) {
  int32_t handle;
  if (!Get(info, 0, &handle)) return Misused(info);
  SessionsOf(info).table.Remove(handle);
  return Answer(info, 0);
}

// step(): the call that the last negative answer is of
Value Step(const CallbackInfo& info) {
  napi_value result = nullptr;
  const char* step = SessionsOf(info).last.step;
  if (napi_create_string_utf8(info.Env(), step, NAPI_AUTO_LENGTH, &result) != napi_ok) {
    return Value();
  }
  return Value(info.Env(), result);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto owned = std::make_unique<Sessions>();
  Sessions* sessions = owned.get();
  env.SetInstanceData(owned.release());
  Export<Open>(exports, "open", sessions);
  Export<Measure>(exports, "measure", sessions);
  Export<Loop>(exports, "loop", sessions);
  Export<Close>(exports, "close", sessions);
  Export<Step>(exports, "step", sessions);
  return exports;
}

}  // namespace

NODE_API_MODULE(peers, Init)

}  // namespace framevec::peers
