package credential

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	// shortestSecret is what is long enough to be taken for a secret when a server echoes it.
	shortestSecret = 6
	// fragment and encodedFragment are how much of a key, or of an encoded one, must stand in a text to be taken out:
	// servers echo keys in part, and texts are cut.
	fragment        = 8
	encodedFragment = 12
)

// Scrubber takes secrets, in every form in which a server might echo them, and the request's own words out of texts.
// The zero Scrubber only makes lines.
type Scrubber struct {
	forms   []string            // of the secrets
	windows map[string]struct{} // their fragments, in lower case
	starts  *[1 << 10]uint64    // a bit for the first four bytes of each, in lower case, by their hash; nil without secrets
	private []string
}

// NewScrubber takes the secrets of a request, of which those that are too short to be told from words are left out, and
// words of the caller that must not come back in a text.
func NewScrubber(secrets, private []string) Scrubber {
	s := Scrubber{private: private, windows: map[string]struct{}{}}
	for _, secret := range secrets {
		if len(secret) >= shortestSecret {
			s.add(secret)
		}
	}
	return s
}

// For is a scrubber of the same secrets for another request's words.
func (s Scrubber) For(private []string) Scrubber {
	s.private = private
	return s
}

func (s *Scrubber) add(secret string) {
	if s.starts == nil {
		s.starts = new([1 << 10]uint64)
	}
	quoted, _ := json.Marshal(secret)
	reversed := []byte(secret)
	slices.Reverse(reversed)
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`), html.EscapeString(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), string(reversed),
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			forms = append(forms, core(encoding, secret, offset))
		}
	}
	for i, form := range forms {
		size := encodedFragment
		if i == 0 {
			size = fragment
		}
		form = lower(form)
		s.begin(form)
		for ; len(form) >= size; form = form[1:] {
			s.windows[form[:size]] = struct{}{}
			s.begin(form)
		}
	}
	s.forms = append(s.forms, forms...)
}

// begin remembers how a form or a fragment begins. All have four bytes and more.
func (s *Scrubber) begin(folded string) {
	h := hashOf(folded)
	s.starts[h>>6] |= 1 << (h & 63)
}

// may reports whether a form or a fragment may begin with this text in lower case: nearly all texts are ruled out by it.
func (s *Scrubber) may(folded string) bool {
	h := hashOf(folded)
	return s.starts[h>>6]&(1<<(h&63)) != 0
}

// touches reports whether any form or fragment may stand in a text.
func (s *Scrubber) touches(text string) bool {
	if s.starts == nil {
		return false
	}
	for folded := lower(text); len(folded) >= 4; folded = folded[1:] {
		if s.may(folded) {
			return true
		}
	}
	return false
}

// hashOf mixes the first four bytes into 16 bits (Knuth's multiplicative hash).
func hashOf(text string) uint32 {
	return (uint32(text[0]) | uint32(text[1])<<8 | uint32(text[2])<<16 | uint32(text[3])<<24) * 2654435761 >> 16
}

// core is the part of key's base64 form that is the same whatever stands around it, when key begins at an offset
// within a group of three bytes ("Bearer KEY", "user:KEY").
func core(encoding *base64.Encoding, key string, offset int) string {
	text := encoding.EncodeToString(append(make([]byte, offset), key...))
	if offset > 0 {
		text = text[offset+1:]
	}
	if (offset+len(key))%3 != 0 {
		text = text[:len(text)-1]
	}
	return text
}

// Exact takes the secrets' whole forms out and leaves all else as it is.
func (s Scrubber) Exact(text string) string {
	if !s.touches(text) {
		return text
	}
	for _, form := range s.forms {
		text = strings.ReplaceAll(text, form, checks.Redacted)
	}
	return text
}

// fragments takes out every run that consists of fragments, in capitals or not.
func (s Scrubber) fragments(text string) string {
	if !s.touches(text) {
		return text
	}
	var out strings.Builder
	folded := lower(text)
	kept, covered := 0, 0 // text before kept is written or redacted; fragments reach up to covered
	for at := 0; at+fragment <= len(text); at++ {
		end := s.match(folded, at)
		if end == 0 {
			continue
		}
		if at > covered || covered == 0 {
			out.WriteString(text[kept:at])
			out.WriteString(checks.Redacted)
		}
		covered = max(covered, end)
		kept = covered
	}
	out.WriteString(text[kept:])
	return out.String()
}

// lower is text with the letters of ASCII in lower case, and so as long as before.
func lower(text string) string {
	if !strings.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		return text
	}
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// match returns where the fragment that begins at a place ends, 0 where none begins.
func (s Scrubber) match(text string, at int) int {
	if !s.may(text[at:]) {
		return 0
	}
	for _, size := range []int{encodedFragment, fragment} {
		if at+size > len(text) {
			continue
		}
		if _, ok := s.windows[text[at:at+size]]; ok {
			return at + size
		}
	}
	return 0
}

// Holds reports whether a secret, or a fragment of one, stands in text.
func (s Scrubber) Holds(text string) bool { return s.fragments(s.Exact(text)) != text }

// Line makes a line out of a server's text: sanitised, without a secret or a fragment of one, without the prompt.
func (s Scrubber) Line(text string, limit int) string {
	text = s.fragments(s.Exact(outbound.Sanitize(text, 16<<10)))
	for _, words := range s.private {
		if words = outbound.Sanitize(words, 16<<10); len(words) >= shortestSecret {
			text = strings.ReplaceAll(text, words, "[prompt]")
		}
	}
	return outbound.Sanitize(text, limit)
}
