// SPDX-License-Identifier: MIT
//
// A memory region of RDMA over Ethernet in software, by the kernel's own interface: each verb is a
// write() of a command (rdma/ib_user_verbs.h), which is what libibverbs does for it.
#include <fcntl.h>
#include <rdma/ib_user_verbs.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "../unique_fd.h"
#include "peer.h"
#include "rdma_link.h"

namespace framevec::peers {
namespace {

// What the kernel reads from one write(): the verb's struct after a header. In bytes, for the
// struct has a flexible end (driver_data), and may be no member.
template <typename Body>
class Command {
 public:
  ib_uverbs_cmd_hdr* header() { return reinterpret_cast<ib_uverbs_cmd_hdr*>(bytes_.data()); }
  Body* body() { return reinterpret_cast<Body*>(bytes_.data() + sizeof(ib_uverbs_cmd_hdr)); }
  const void* data() const { return bytes_.data(); }
  static constexpr size_t size() { return sizeof(ib_uverbs_cmd_hdr) + sizeof(Body); }

 private:
  alignas(8) std::array<char, sizeof(ib_uverbs_cmd_hdr) + sizeof(Body)> bytes_{};
};

template <typename T>
uint64_t AddressOf(T* object) {
  return reinterpret_cast<uintptr_t>(object);
}

constexpr uint32_t kLocalWrite = 1;  // IB_ACCESS_LOCAL_WRITE

class RdmaRxe final : public Timed<RdmaRxe> {
 public:
  bool Open(const Memory& memory) {
    int error;
    link_ = RdmaLink::Shared(&error);
    if (link_ == nullptr) return Failed("netlink(RDMA_NLDEV_CMD_NEWLINK)", error);
    const std::string path = RdmaLink::VerbsFile();
    if (path.empty()) return Failed("no /dev/infiniband/uverbs of rxe", ENODEV);
    verbs_ = UniqueFd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!verbs_) return Failed("open(/dev/infiniband/uverbs)");

    Command<ib_uverbs_get_context> context;
    ib_uverbs_get_context_resp events{};
    context.body()->response = AddressOf(&events);
    if (!Write(IB_USER_VERBS_CMD_GET_CONTEXT, &context, sizeof events)) {
      return Failed("write(IB_USER_VERBS_CMD_GET_CONTEXT)");
    }
    events_ = UniqueFd(static_cast<int>(events.async_fd));

    Command<ib_uverbs_alloc_pd> domain;
    ib_uverbs_alloc_pd_resp allocated{};
    domain.body()->response = AddressOf(&allocated);
    if (!Write(IB_USER_VERBS_CMD_ALLOC_PD, &domain, sizeof allocated)) {
      return Failed("write(IB_USER_VERBS_CMD_ALLOC_PD)");
    }

    take_.body()->response = AddressOf(&region_);
    take_.body()->start = AddressOf(memory.address);
    take_.body()->length = memory.length;
    take_.body()->hca_va = take_.body()->start;
    take_.body()->pd_handle = allocated.pd_handle;
    take_.body()->access_flags = memory.write ? kLocalWrite : 0;
    return true;
  }
  bool Acquire() {
    return Write(IB_USER_VERBS_CMD_REG_MR, &take_, sizeof region_) ||
           Failed("write(IB_USER_VERBS_CMD_REG_MR)");
  }
  bool Release() {
    release_.body()->mr_handle = region_.mr_handle;
    return Write(IB_USER_VERBS_CMD_DEREG_MR, &release_, 0) ||
           Failed("write(IB_USER_VERBS_CMD_DEREG_MR)");
  }

 private:
  template <typename Body>
  bool Write(uint32_t verb, Command<Body>* command, size_t response) const {
    ib_uverbs_cmd_hdr* header = command->header();
    header->command = verb;
    // Lengths are in words of 4 bytes.
    header->in_words = command->size() / 4;
    header->out_words = static_cast<uint16_t>(response / 4);
    return write(verbs_.get(), command->data(), command->size()) ==
           static_cast<ssize_t>(command->size());
  }

  // The descriptors end before the link.
  std::shared_ptr<RdmaLink> link_;
  UniqueFd verbs_;
  UniqueFd events_;
  Command<ib_uverbs_reg_mr> take_;
  Command<ib_uverbs_dereg_mr> release_;
  ib_uverbs_reg_mr_resp region_{};
};

}  // namespace

std::unique_ptr<Peer> OpenRdmaRxe(const Memory& memory, Failure* failure) {
  return Open<RdmaRxe>(memory, failure);
}

}  // namespace framevec::peers
