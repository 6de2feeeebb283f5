package scan

import (
	"regexp"
	"strings"
)

// modelPattern is a name of a model of the provider, with the prefixes that gateways put before it. Families and endings are
// those of its list of models of November 2026 and of the models before: what is called mistral-small-queue is none.
func modelPattern() *regexp.Regexp {
	return regexp.MustCompile(`^(?:mistral/|mistralai/|mistral_ai/|mistralai:|mistral:)?((?:open-|labs-)?(?:` +
		`mistral-(?:tiny|small|medium|large|saba|nemo|embed|ocr|moderation|7b|vibe-cli)|mistral-code(?:-fim|-agent)?-(?:latest|\d{4})|mixtral-8x(?:7b|22b)` +
		`|(?:ministral|magistral|devstral|pixtral|voxtral|codestral|leanstral)-(?:\d{1,3}b|tiny|small|mini|medium|large|embed|mamba|latest|\d{1,4})|codestral)` +
		`(?:[-.](?:latest|\d{1,4}|\d{1,3}b|instruct|mini|fast|with-tools|transcribe|realtime|tts|mamba))*)$`)
}

// floating says whether a name may come to mean another model: it ends in no date of four digits, no version of two numbers,
// and no size of an open model. A name with one number floats: mistral-medium-3 came to mean 3.5.
func floating(model string) bool {
	parts := strings.FieldsFunc(model, func(r rune) bool { return r == '-' || r == '.' })
	numbers := 0
	for len(parts) > 0 && allIn(parts[len(parts)-1], "0123456789") {
		if len(parts[len(parts)-1]) == 4 {
			return false
		}
		parts = parts[:len(parts)-1]
		numbers++
	}
	if numbers > 0 || len(parts) == 0 {
		return numbers < 2
	}
	return !strings.HasPrefix(model, "open-") || !strings.HasSuffix(parts[len(parts)-1], "b")
}
