package pricing

import "github.com/windsock-monitor/windsock/checks"

const (
	tableDate = "2026-08-21"
	docs      = "Mistral's documentation source, platform-docs-public at 222f4ba9114f (Apache-2.0)"
)

// row is a price as the page has it, in whole numbers of its unit. What is 0 has no price.
type row struct {
	model            string
	input, output    int64 // cents for a million tokens
	cached           int64 // cents for a million prompt tokens from the cache; 0: a tenth of the input
	pages, annotated int64 // cents for a thousand pages, and for a thousand annotated ones
	minute           int64 // thousandths of a dollar for a minute of audio
	characters       int64 // cents for a million characters of speech
	free             bool
}

// The units of a row, in pico-dollars for one.
const (
	perMillion  = checks.Dollar / 100 / 1_000_000
	perThousand = checks.Dollar / 100 / 1000
	perMinute   = checks.Dollar / 1000
)

func (r row) price() Price {
	p := Price{
		Model: r.model, Input: checks.PicoUSD(r.input) * perMillion, Output: checks.PicoUSD(r.output) * perMillion,
		Cached: checks.PicoUSD(r.cached) * perMillion,
		Page:   checks.PicoUSD(r.pages) * perThousand, AnnotatedPage: checks.PicoUSD(r.annotated) * perThousand,
		Minute: checks.PicoUSD(r.minute) * perMinute, Character: checks.PicoUSD(r.characters) * perMillion,
		Free: r.free, Source: docs, CheckedOn: tableDate,
	}
	if r.cached == 0 {
		p.Cached = p.Input / 10
	}
	return p
}

// rows are the models that are priced and were served at the table's date. Models that had been retired by then are left
// out: nothing can be billed for them, and their old prices would only make the unknown dearer. Where the page prices both
// minutes and tokens (voxtral-small), the audio costs by the minute and the text beside it by tokens.
func rows() []row {
	return []row{
		{model: "mistral-medium-3-5", input: 150, output: 750},
		{model: "mistral-medium-2508", input: 40, output: 200},
		{model: "mistral-medium-2505", input: 40, output: 200},
		{model: "mistral-large-2512", input: 50, output: 150},
		{model: "mistral-small-2603", input: 15, output: 60},
		{model: "codestral-2508", input: 30, output: 90},
		{model: "devstral-2512", input: 40, output: 200},
		{model: "ministral-3b-2512", input: 10, output: 10},
		{model: "ministral-8b-2512", input: 15, output: 15},
		{model: "ministral-14b-2512", input: 20, output: 20},
		{model: "open-mistral-nemo", input: 15, output: 15},
		{model: "zai-glm-5-2", input: 140, cached: 14, output: 440},
		{model: "mistral-embed", input: 10},
		{model: "codestral-embed", input: 15},
		{model: "mistral-moderation-2603", free: true},
		{model: "mistral-ocr-2512", pages: 200, annotated: 300},
		{model: "mistral-ocr-4-0", pages: 400, annotated: 500},
		{model: "mistral-ocr-4-1", pages: 400, annotated: 500},
		{model: "voxtral-mini-2602", minute: 3},
		{model: "voxtral-mini-transcribe-realtime-2602", minute: 6},
		{model: "voxtral-small-2507", minute: 4, input: 10, output: 40},
		{model: "voxtral-mini-tts-2603", characters: 1600},
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

		"mistral-ocr-3":      "mistral-ocr-2512",
		"mistral-ocr-3-0":    "mistral-ocr-2512",
		"mistral-ocr-4":      "mistral-ocr-4-1",
		"mistral-ocr-latest": "mistral-ocr-4-1",

		"voxtral-mini-latest":                     "voxtral-mini-2602",
		"voxtral-mini-realtime-2602":              "voxtral-mini-transcribe-realtime-2602",
		"voxtral-mini-realtime-latest":            "voxtral-mini-transcribe-realtime-2602",
		"voxtral-mini-transcribe-realtime-latest": "voxtral-mini-transcribe-realtime-2602",
		"voxtral-mini-tts-latest":                 "voxtral-mini-tts-2603",
		"voxtral-small-latest":                    "voxtral-small-2507",
	}
}
