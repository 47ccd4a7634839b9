"""What holds for every answer: headers, problems, limits, pages, the log."""

MUTATIONS = {}
