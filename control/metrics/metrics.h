#pragma once
// What a scraper sees of a box: the dataplane's statistics (DATA/stats.shm, read without asking it)
// and control's own tables, as Prometheus' text, over HTTP. Lives in the loop of eagre-control; one
// thread. The page is made at most twice a second however many ask, so that scrapers, hostile ones
// too, cost the loop a bounded share of its time.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/metrics/http_server.h"
#include "control/metrics/page.h"
#include "control/metrics/stream_totals.h"
#include "control/streams/stream_table.h"
#include "wire/base/result.h"

namespace eagre::metrics {

/// A page is given to everybody who asks for so long.
inline constexpr uint64_t kPageNs = 500'000'000ULL;

struct MetricsOptions {
    HttpAddress address;
    std::string stats_path;  // DATA/stats.shm.
    uint32_t shard_series_max = kShardSeriesDefault;
};

/// What control knows, as it is when a page is made.
struct ControlView {
    const streams::StreamTable& table;
    bool ready = false;
    std::vector<GroupView> groups;
    uint64_t wall_ns = 0;
    Refusals refusals = {};
};

class Metrics {
  public:
    /// `view` and `clock` (monotonic ns) are called from poll(). Errors: those of
    /// HttpServer::listen.
    static Result<std::unique_ptr<Metrics>> listen(MetricsOptions options,
                                                   std::function<ControlView()> view,
                                                   std::function<uint64_t()> clock);

    void poll() { server_->poll(clock_()); }
    int wait_fd() const { return server_->wait_fd(); }
    /// Poll no later than this.
    uint64_t next_deadline_ns() const { return server_->next_deadline_ns(); }
    const HttpAddress& address() const { return server_->address(); }

  private:
    Metrics(MetricsOptions options, std::function<ControlView()> view,
            std::function<uint64_t()> clock)
        : options_(std::move(options)), view_(std::move(view)), clock_(std::move(clock)) {}
    std::shared_ptr<const std::string> page();
    std::string make_page(uint64_t now_ns);

    MetricsOptions options_;
    std::function<ControlView()> view_;
    std::function<uint64_t()> clock_;
    std::unique_ptr<HttpServer> server_;
    StreamTotals totals_;
    std::shared_ptr<const std::string> page_;
    uint64_t page_ns_ = 0;
};

}  // namespace eagre::metrics
