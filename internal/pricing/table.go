package pricing

import "github.com/windsock-monitor/windsock/checks"

// perMillion is the unit of the table, a hundredth of a US dollar for a million tokens, in pico-dollars for one token.
const perMillion = checks.Dollar / 100 / 1_000_000

const (
	tableDate = "2026-08-21"
	docs      = "Mistral's documentation source, platform-docs-public at 222f4ba9114f (Apache-2.0)"
)

// row is a price as the page has it, in cents for a million tokens.
type row struct {
	model         string
	input, output int64
}

// rows are the models that take tokens for money and were served at the table's date. Models that had been retired by
// then are left out: nothing can be billed for them, and their old prices would only make the unknown dearer.
func rows() []row {
	return []row{
		{"mistral-medium-3-5", 150, 750},
		{"mistral-medium-2508", 40, 200},
		{"mistral-medium-2505", 40, 200},
		{"mistral-large-2512", 50, 150},
		{"mistral-small-2603", 15, 60},
		{"codestral-2508", 30, 90},
		{"devstral-2512", 40, 200},
		{"ministral-3b-2512", 10, 10},
		{"ministral-8b-2512", 15, 15},
		{"ministral-14b-2512", 20, 20},
		{"open-mistral-nemo", 15, 15},
		{"zai-glm-5-2", 140, 440},
		{"mistral-embed", 10, 0},
		{"codestral-embed", 15, 0},
	}
}

// aliases are the other names under which /v1/models listed those models (recorded in autumn 2026) or under which the
// documentation names them at the table's date. Where the two disagree, what was recorded counts (magistral-small-latest).
// Left out are the aliases of devstral-2512, which was about to retire: they move to a dearer family, and a stale alias
// counts too little. An alias that is not here is unknown.
func aliases() map[string]string {
	return map[string]string{
		"mistral-medium-latest":       "mistral-medium-3-5",
		"mistral-medium":              "mistral-medium-3-5",
		"mistral-medium-3.5":          "mistral-medium-3-5",
		"mistral-medium-3":            "mistral-medium-3-5",
		"mistral-medium-2604":         "mistral-medium-3-5",
		"mistral-vibe-cli-latest":     "mistral-medium-3-5",
		"mistral-vibe-cli-with-tools": "mistral-medium-3-5",
		"mistral-large-latest":        "mistral-large-2512",
		"mistral-small-latest":        "mistral-small-2603",
		"magistral-small-latest":      "mistral-small-2603",
		"mistral-vibe-cli-fast":       "mistral-small-2603",
		"codestral-latest":            "codestral-2508",
		"mistral-code-latest":         "codestral-2508",
		"mistral-code-fim-latest":     "codestral-2508",
		"ministral-3b-latest":         "ministral-3b-2512",
		"ministral-8b-latest":         "ministral-8b-2512",
		"ministral-14b-latest":        "ministral-14b-2512",
		"open-mistral-nemo-2407":      "open-mistral-nemo",
		"glm-5-2":                     "zai-glm-5-2",
		"mistral-embed-2312":          "mistral-embed",
		"codestral-embed-2505":        "codestral-embed",
	}
}
