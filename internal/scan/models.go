package scan

import (
	"regexp"
	"strings"
)

// modelPattern is a name of a model of the provider, with the prefixes that gateways put before it.
func modelPattern() *regexp.Regexp {
	return regexp.MustCompile(`^(?:mistral/|mistralai/|mistral_ai/|mistralai:|mistral:)?((?:open-|labs-)?(?:` +
		`mistral-(?:tiny|small|medium|large|saba|nemo|embed|ocr|moderation|7b)|mixtral-8x(?:7b|22b)|(?:ministral|magistral|devstral|pixtral|voxtral|codestral|leanstral)-(?:\d{1,3}b|tiny|small|mini|medium|large|embed|mamba|latest|\d{4})|codestral` +
		`)(?:[-.][a-z0-9]+)*)$`)
}

// floating says whether a name may come to mean another model: one that ends in neither a date of four digits nor a size.
func floating(model string) bool {
	parts := strings.Split(model, "-")
	last := parts[len(parts)-1]
	if len(last) == 4 && allIn(last, "0123456789") {
		return false
	}
	return !strings.HasPrefix(model, "open-") || !strings.HasSuffix(last, "b")
}
