// SPDX-License-Identifier: MIT
#include "rdma_link.h"

#include <dirent.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

namespace framevec::peers {
namespace {

constexpr char kName[] = "framevec_rxe";

// A netlink message to the RDMA core, as it grows.
class Message {
 public:
  Message(uint32_t command, uint16_t flags) {
    header_->nlmsg_len = NLMSG_HDRLEN;
    header_->nlmsg_type = static_cast<uint16_t>(RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command));
    header_->nlmsg_flags = NLM_F_REQUEST | flags;
  }
  void Add(uint16_t type, const char* text) { Add(type, text, strlen(text) + 1); }
  void Add(uint16_t type, uint32_t value) { Add(type, &value, sizeof value); }
  bool Send(int socket) const {
    return send(socket, bytes_.data(), header_->nlmsg_len, 0) ==
           static_cast<ssize_t>(header_->nlmsg_len);
  }

 private:
  void Add(uint16_t type, const void* data, size_t length) {
    auto* attribute = reinterpret_cast<nlattr*>(bytes_.data() + header_->nlmsg_len);
    attribute->nla_type = type;
    attribute->nla_len = static_cast<uint16_t>(NLA_HDRLEN + length);
    memcpy(reinterpret_cast<char*>(attribute) + NLA_HDRLEN, data, length);
    header_->nlmsg_len += NLA_ALIGN(attribute->nla_len);
  }

  alignas(nlmsghdr) std::array<char, 256> bytes_{};
  nlmsghdr* header_ = reinterpret_cast<nlmsghdr*>(bytes_.data());
};

// The errno that the core answers with; 0 for yes.
int Ask(int socket, const Message& message) {
  if (!message.Send(socket)) return errno;
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  const ssize_t length = recv(socket, answer.data(), answer.size(), 0);
  if (length < 0) return errno;
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (length < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))) ||
      header->nlmsg_type != NLMSG_ERROR) {
    return EPROTO;
  }
  return -reinterpret_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
}

// The number of the device of our name in one message of a list.
std::optional<uint32_t> IndexIn(const nlmsghdr* header) {
  std::optional<uint32_t> index;
  bool ours = false;
  const char* at = static_cast<const char*>(NLMSG_DATA(header));
  const char* end = reinterpret_cast<const char*>(header) + header->nlmsg_len;
  while (end - at >= static_cast<ptrdiff_t>(sizeof(nlattr))) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at) break;
    const char* data = at + NLA_HDRLEN;
    const size_t length = attribute->nla_len - size_t{NLA_HDRLEN};
    switch (attribute->nla_type & NLA_TYPE_MASK) {
      case RDMA_NLDEV_ATTR_DEV_INDEX:
        if (length == sizeof(uint32_t)) memcpy(&index.emplace(), data, sizeof(uint32_t));
        break;
      case RDMA_NLDEV_ATTR_DEV_NAME:
        ours = std::string_view(data, strnlen(data, length)) == kName;
        break;
    }
    at += NLA_ALIGN(attribute->nla_len);
  }
  return ours ? index : std::nullopt;
}

std::optional<uint32_t> FindIndex(int socket) {
  if (!Message(RDMA_NLDEV_CMD_GET, NLM_F_DUMP).Send(socket)) return std::nullopt;
  std::optional<uint32_t> found;
  for (;;) {
    alignas(nlmsghdr) std::array<char, 16384> answer{};
    const ssize_t length = recv(socket, answer.data(), answer.size(), 0);
    if (length <= 0) return found;
    auto left = static_cast<uint32_t>(length);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
         NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return found;
      const std::optional<uint32_t> index = IndexIn(header);
      if (index) found = index;
    }
  }
}

}  // namespace

std::shared_ptr<RdmaLink> RdmaLink::Shared(int* error) {
  // The link is the machine's, so one process has one.
  static std::mutex lock;
  static std::weak_ptr<RdmaLink> shared;
  const std::lock_guard<std::mutex> guard(lock);
  std::shared_ptr<RdmaLink> link = shared.lock();
  *error = 0;
  if (link != nullptr) return link;
  link = std::make_shared<RdmaLink>();
  *error = link->Add();
  if (*error != 0 && *error != EEXIST) return nullptr;
  shared = link;
  return link;
}

int RdmaLink::Add() {
  socket_ = UniqueFd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA));
  if (!socket_) return errno;
  Message link(RDMA_NLDEV_CMD_NEWLINK, NLM_F_ACK);
  link.Add(RDMA_NLDEV_ATTR_DEV_NAME, kName);
  link.Add(RDMA_NLDEV_ATTR_LINK_TYPE, "rxe");
  link.Add(RDMA_NLDEV_ATTR_NDEV_NAME, "lo");
  const int error = Ask(socket_.get(), link);
  added_ = error == 0;
  return error;
}

RdmaLink::~RdmaLink() {
  if (!added_) return;
  const std::optional<uint32_t> index = FindIndex(socket_.get());
  if (!index) return;
  Message link(RDMA_NLDEV_CMD_DELLINK, NLM_F_ACK);
  link.Add(RDMA_NLDEV_ATTR_DEV_INDEX, *index);
  Ask(socket_.get(), link);
}

// An rxe's, of whatever name.
std::string RdmaLink::VerbsFile() {
  const std::string folder = "/sys/class/infiniband_verbs/";
  const std::unique_ptr<DIR, int (*)(DIR*)> names(opendir(folder.c_str()), closedir);
  if (names == nullptr) return {};
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads this directory stream.
  while (const dirent* entry = readdir(names.get())) {
    const std::string name = entry->d_name;
    if (name.rfind("uverbs", 0) != 0) continue;
    const std::unique_ptr<FILE, int (*)(FILE*)> file(
        fopen((folder + name + "/ibdev").c_str(), "re"), fclose);
    char device[64];
    if (file == nullptr || fscanf(file.get(), "%63s", device) != 1) continue;
    // Only a device of rxe's tells what it lies over in this file.
    const std::string parent = std::string("/sys/class/infiniband/") + device + "/parent";
    if (access(parent.c_str(), F_OK) == 0) return "/dev/infiniband/" + name;
  }
  return {};
}

}  // namespace framevec::peers
