#pragma once
// Whoever includes this sees nothing of DPDK itself.

#include <memory>
#include <string>

#include "dataplane/io/nic.h"

namespace eagre::io {

struct NicShared;

/// Devices driven by DPDK. One in a process, and one start in its life: DPDK allows no second.
class DpdkNic final : public Nic {
  public:
    /// Null: `why` says so, for people.
    static std::unique_ptr<Nic> start(const NicOptions& options, std::string& why);
    ~DpdkNic() override;
    DpdkNic(const DpdkNic&) = delete;
    DpdkNic& operator=(const DpdkNic&) = delete;

    std::unique_ptr<Datagrams> datagrams(uint32_t core) override;
    std::string describe() const override;

  private:
    explicit DpdkNic(std::unique_ptr<NicShared> shared);
    std::unique_ptr<NicShared> shared_;
};

}  // namespace eagre::io
