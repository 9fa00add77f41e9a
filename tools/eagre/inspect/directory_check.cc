#include "tools/eagre/inspect/directory_check.h"

#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include "tools/eagre/inspect/catalogue.h"

namespace eagre::inspect {
namespace {

constexpr uint64_t kBoxFileBytesMax = 1 << 20U;  // Many journals, each with a line.

}  // namespace

std::string journal_path(const BoxIdentity& box, const std::string& data, uint32_t journal) {
    const uint32_t directory = box.journal_directory[journal];
    return (directory == 0 ? data : box.further[directory - 1].path) + "/" +
           journal_directory_name(journal);
}

bool is_data_directory(const std::string& data) {
    return std::filesystem::exists(data + "/" + std::string(kBoxFile));
}

DirectoryReport check_directory(const std::string& data, const Progress& progress) {
    DirectoryReport report;
    const std::string box_path = data + "/" + std::string(kBoxFile);
    if (!is_data_directory(data))
        throw std::runtime_error(
            fmt::format("{} is not a data directory: there is no {}", data, kBoxFile));
    const auto bytes = InputFile(box_path).read_all(kBoxFileBytesMax);
    const auto box =
        parse_box_identity({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!box) {
        report.findings.problem(box_path, 0,
                                fmt::format("the identity can't be read ({}): journals were not "
                                            "checked",
                                            errc_name(box.error().code)));
    } else {
        for (uint32_t id = 0; id < box->journal_count; ++id) {
            const std::string directory = journal_path(*box, data, id);
            if (!std::filesystem::is_directory(directory)) {
                report.findings.problem(directory, 0, "the journal is missing");
                continue;
            }
            report.totals.add(check_journal(directory, id, *box, report.findings, progress));
        }
    }
    check_catalogue(data + "/" + kCatalogueFile, report.findings);
    return report;
}

}  // namespace eagre::inspect
