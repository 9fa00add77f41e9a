#include "control/gateway/document/writer.h"

#include <array>

#include <fmt/format.h>

#include "control/gateway/document/base64.h"

namespace eagre::gateway {

void Writer::comma() {
    if (encoding_ == Encoding::kCbor) return;
    if (!first_ && !after_name_) out_ += ',';
    first_ = false;
    after_name_ = false;
}

void Writer::begin(char json, char cbor) {
    comma();
    out_ += encoding_ == Encoding::kJson ? json : cbor;
    first_ = true;
}

void Writer::end(char json) {
    out_ += encoding_ == Encoding::kJson ? json : '\xff';
    first_ = false;
}

void Writer::cbor_head(uint32_t major, uint64_t value) {
    const auto first = [&](uint32_t info) { out_ += static_cast<char>(major << 5U | info); };
    const auto rest = [&](uint32_t bytes) {
        for (uint32_t i = bytes; i-- > 0;) out_ += static_cast<char>(value >> (8 * i));
    };
    if (value < 24) {
        first(static_cast<uint32_t>(value));
    } else if (value <= UINT8_MAX) {
        first(24), rest(1);
    } else if (value <= UINT16_MAX) {
        first(25), rest(2);
    } else if (value <= UINT32_MAX) {
        first(26), rest(4);
    } else {
        first(27), rest(8);
    }
}

void Writer::quoted(std::string_view text) {
    static constexpr auto kPlain = [] {
        std::array<bool, 256> plain{};
        for (size_t i = 0x20; i < 256; ++i) plain[i] = i != '"' && i != '\\';
        return plain;
    }();
    out_ += '"';
    size_t from = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<uint8_t>(text[i]);
        if (kPlain[byte]) continue;
        out_.append(text, from, i - from);
        from = i + 1;
        if (byte == '"' || byte == '\\') {
            out_ += '\\';
            out_ += text[i];
        } else {
            fmt::format_to(std::back_inserter(out_), "\\u{:04x}", byte);
        }
    }
    out_.append(text, from);
    out_ += '"';
}

void Writer::name(std::string_view name) {
    plain(name);
    if (encoding_ == Encoding::kCbor) return;
    out_ += ':';
    after_name_ = true;
}

void Writer::plain(std::string_view text) {
    comma();
    if (encoding_ == Encoding::kCbor) {
        cbor_head(3, text.size());
        out_ += text;
        return;
    }
    out_ += '"';
    out_ += text;
    out_ += '"';
}

void Writer::text(std::string_view text) {
    comma();
    if (encoding_ == Encoding::kJson) return quoted(text);
    cbor_head(3, text.size());
    out_ += text;
}

void Writer::integer(int64_t value) {
    comma();
    if (encoding_ == Encoding::kJson) {
        out_ += fmt::format_int(value).c_str();
    } else if (value >= 0) {
        cbor_head(0, static_cast<uint64_t>(value));
    } else {
        cbor_head(1, static_cast<uint64_t>(-1 - value));
    }
}

void Writer::boolean(bool value) {
    comma();
    if (encoding_ == Encoding::kJson) {
        out_ += value ? "true" : "false";
    } else {
        out_ += value ? '\xf5' : '\xf4';
    }
}

void Writer::blob(std::string_view bytes) {
    comma();
    if (encoding_ == Encoding::kJson) {
        out_ += '"';
        append_base64(out_, bytes);
        out_ += '"';
    } else {
        cbor_head(2, bytes.size());
        out_ += bytes;
    }
}

void Writer::time_ms(uint64_t ms) {
    comma();
    if (encoding_ == Encoding::kJson) {
        out_ += fmt::format_int(ms / 1000).c_str();
        const auto fraction = static_cast<uint32_t>(ms % 1000);
        const char digits[] = {'.', static_cast<char>('0' + fraction / 100), static_cast<char>('0' + fraction / 10 % 10), static_cast<char>('0' + fraction % 10)};
        out_.append(digits, sizeof(digits));
    } else {
        cbor_head(6, 1);
        cbor_head(0, ms);
    }
}

}  // namespace eagre::gateway
