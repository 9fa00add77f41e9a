#include "control/gateway/http/http2_session.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <nghttp2/nghttp2.h>

#include "wire/base/assert.h"

namespace eagre::gateway {
namespace {

constexpr uint32_t kStreamWindowBytes = 1024 * 1024;
constexpr int32_t kConnectionWindowBytes = 16 * 1024 * 1024;

nghttp2_nv pair_of(std::string_view name, std::string_view value) {
    // nghttp2 copies both.
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())), reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
            value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string_view view(const uint8_t* data, size_t bytes) { return {reinterpret_cast<const char*>(data), bytes}; }

}  // namespace

struct Http2Callbacks {
    static int on_begin(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        auto& self = *static_cast<Http2Session*>(user);
        if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
        self.streams_[frame->hd.stream_id].began_ns = self.now_ns_;
        return 0;
    }
    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_bytes, const uint8_t* value, size_t value_bytes,
                         uint8_t, void* user) {
        auto& self = *static_cast<Http2Session*>(user);
        const auto found = self.streams_.find(frame->hd.stream_id);
        if (found == self.streams_.end() || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // Trailers are passed over.
        Http2Session::Stream& stream = found->second;
        stream.head_bytes += name_bytes + value_bytes + 32;
        if (stream.head_bytes > kHeadBytesMax || stream.request.headers.size() >= kHeaderCountMax) {
            self.refuse(frame->hd.stream_id, stream, NGHTTP2_ENHANCE_YOUR_CALM);
            return 0;
        }
        const std::string_view key = view(name, name_bytes);
        if (key == ":method") stream.request.method = view(value, value_bytes);
        else if (key == ":path") stream.request.target = view(value, value_bytes);
        else if (key == ":authority") stream.request.headers.emplace_back("host", view(value, value_bytes));
        else if (!key.starts_with(':')) stream.request.headers.emplace_back(key, view(value, value_bytes));
        return 0;
    }
    static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t bytes, void* user) {
        auto& self = *static_cast<Http2Session*>(user);
        const auto found = self.streams_.find(id);
        if (found == self.streams_.end()) return 0;
        Http2Session::Stream& stream = found->second;
        if (stream.request.body.size() + bytes > kBodyBytesMax || self.body_bytes_ + bytes > kHttp2BodiesBytesMax) {
            self.refuse(id, stream, NGHTTP2_ENHANCE_YOUR_CALM);
            return 0;
        }
        stream.request.body.append(view(data, bytes));
        self.body_bytes_ += bytes;
        return 0;
    }
    static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        auto& self = *static_cast<Http2Session*>(user);
        const int32_t id = frame->hd.stream_id;
        const auto found = self.streams_.find(id);
        if (found == self.streams_.end()) return 0;
        Http2Session::Stream& stream = found->second;
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 &&
            stream.request.header("expect") == "100-continue") {
            const nghttp2_nv go_on[] = {pair_of(":status", "100")};
            nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, id, nullptr, go_on, 1, nullptr);
        }
        if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || stream.whole) return 0;
        stream.whole = true;
        self.body_bytes_ -= stream.request.body.size();
        self.requests_.emplace_back(id, std::move(stream.request));
        return 0;
    }
    static int on_close(nghttp2_session*, int32_t id, uint32_t, void* user) {
        auto& self = *static_cast<Http2Session*>(user);
        const auto found = self.streams_.find(id);
        if (found == self.streams_.end()) return 0;
        if (found->second.whole) {
            self.closed_.push_back(id);
            std::erase_if(self.requests_, [id](const auto& each) { return each.first == id; });
        } else {
            self.body_bytes_ -= found->second.request.body.size();
        }
        self.streams_.erase(found);
        return 0;
    }
    static ssize_t on_read(nghttp2_session*, int32_t id, uint8_t* target, size_t bytes, uint32_t* flags, nghttp2_data_source*, void* user) {
        auto& self = *static_cast<Http2Session*>(user);
        const auto found = self.streams_.find(id);
        if (found == self.streams_.end()) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        Http2Session::Stream& stream = found->second;
        const size_t piece = std::min(bytes, stream.answer.size() - stream.sent);
        if (piece == 0 && stream.open_ended) return NGHTTP2_ERR_DEFERRED;
        std::memcpy(target, stream.answer.data() + stream.sent, piece);
        stream.sent += piece;
        if (stream.sent == stream.answer.size() && !stream.open_ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(piece);
    }
};

Http2Session::Http2Session() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Http2Callbacks::on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2Callbacks::on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Http2Callbacks::on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Http2Callbacks::on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Http2Callbacks::on_close);
    const int made = nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    EAGRE_ASSERT_EQ(made, 0);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kHttp2StreamsMax},
                                               {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindowBytes},
                                               {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeadBytesMax}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings));
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindowBytes);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

bool Http2Session::receive(std::string_view bytes, uint64_t now_ns) {
    now_ns_ = now_ns;
    const ssize_t taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return taken >= 0 && static_cast<size_t>(taken) == bytes.size() && !finished();
}

void Http2Session::refuse(int32_t id, Stream& stream, uint32_t error) {
    body_bytes_ -= stream.request.body.size();
    streams_.erase(id);
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, error);
}

void Http2Session::respond(int32_t id, Response response, const std::string& date) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.answer = std::move(response.body);
    const std::string length = std::to_string(found->second.answer.size());
    submit(id, response, date, &length, !found->second.answer.empty());
}

void Http2Session::submit(int32_t id, const Response& head, const std::string& date, const std::string* length, bool body) {
    const std::string status = std::to_string(head.status);
    std::vector<nghttp2_nv> headers = {pair_of(":status", status), pair_of("date", date)};
    if (length != nullptr) headers.push_back(pair_of("content-length", *length));
    for (const auto& [name, value] : head.headers) headers.push_back(pair_of(name, value));
    nghttp2_data_provider provider{};
    provider.read_callback = Http2Callbacks::on_read;
    nghttp2_submit_response(session_, id, headers.data(), headers.size(), body ? &provider : nullptr);
}

void Http2Session::begin(int32_t id, const Response& head, const std::string& date) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.open_ended = true;
    found->second.answer = head.body;
    submit(id, head, date, nullptr, true);
}

void Http2Session::append(int32_t id, std::string_view bytes) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    Stream& stream = found->second;
    if (stream.sent > stream.answer.size() / 2) {
        stream.answer.erase(0, stream.sent);
        stream.sent = 0;
    }
    stream.answer.append(bytes);
    nghttp2_session_resume_data(session_, id);
}

void Http2Session::finish(int32_t id) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return;
    found->second.open_ended = false;
    nghttp2_session_resume_data(session_, id);
}

size_t Http2Session::unsent(int32_t id) const {
    const auto found = streams_.find(id);
    return found == streams_.end() ? 0 : found->second.answer.size() - found->second.sent;
}

void Http2Session::output(std::string& out, size_t bytes_max) {
    while (out.size() < bytes_max) {
        const uint8_t* data = nullptr;
        const ssize_t bytes = nghttp2_session_mem_send(session_, &data);
        if (bytes <= 0) return;
        out.append(view(data, static_cast<size_t>(bytes)));
    }
}

bool Http2Session::finished() const { return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0; }

uint64_t Http2Session::oldest_ns() const {
    uint64_t oldest = UINT64_MAX;
    for (const auto& [id, stream] : streams_) {
        if (!stream.whole) oldest = std::min(oldest, stream.began_ns);
    }
    return oldest;
}

}  // namespace eagre::gateway
