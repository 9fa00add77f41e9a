#include "control/metrics/metrics.h"

namespace eagre::metrics {

Result<std::unique_ptr<Metrics>> Metrics::listen(MetricsOptions options,
                                                 std::function<ControlView()> view,
                                                 std::function<uint64_t()> clock) {
    std::unique_ptr<Metrics> metrics(
        new Metrics(std::move(options), std::move(view), std::move(clock)));
    auto server = HttpServer::listen(metrics->options_.address,
                                     [self = metrics.get()] { return self->page(); });
    if (!server) return server.error();
    metrics->server_ = std::move(*server);
    return metrics;
}

std::shared_ptr<const std::string> Metrics::page() {
    const uint64_t now_ns = clock_();
    if (page_ == nullptr || now_ns - page_ns_ >= kPageNs) {
        page_ = std::make_shared<const std::string>(make_page(now_ns));
        page_ns_ = now_ns;
    }
    return page_;
}

std::string Metrics::make_page(uint64_t now_ns) {
    const ControlView view = view_();
    PageSource source;
    source.table = &view.table;
    source.control_ready = view.ready;
    source.groups = &view.groups;
    source.wall_ns = view.wall_ns;
    source.refusals = &view.refusals;
    source.shard_series_max = options_.shard_series_max;
    source.connections_cut = server_->cut_count();
    const auto snapshot = shm::StatsSnapshot::read(options_.stats_path, now_ns);
    if (!snapshot || !snapshot->alive()) return metrics_page(source);
    const auto shards = distinct_shards(*snapshot);
    totals_.update(*snapshot, shards);
    source.snapshot = &*snapshot;
    source.shards = &shards;
    source.totals = &totals_;
    return metrics_page(source);
}

}  // namespace eagre::metrics
