#include "wire/feeds/spec/feed_spec.h"

namespace eagre::feeds {

std::string_view framing_name(Framing framing) {
    switch (framing) {
        case Framing::kRaw:
            return "raw";
        case Framing::kMoldUdp64:
            return "moldudp64";
        case Framing::kLines:
            return "lines";
    }
    return "?";
}

Result<Framing> framing_of(std::string_view name) {
    for (const Framing each : {Framing::kRaw, Framing::kMoldUdp64, Framing::kLines}) {
        if (framing_name(each) == name) return each;
    }
    return Errc::kBadArgument;
}

}  // namespace eagre::feeds
