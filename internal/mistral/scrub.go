package mistral

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/windsock-monitor/windsock/checks"
	"github.com/windsock-monitor/windsock/internal/outbound"
)

const (
	// shortestSecret is what is long enough to be taken for a secret when a server echoes it.
	shortestSecret = 6
	// fragment is how much of a key must stand in a text to be taken out: servers echo keys in part.
	fragment = 8
)

// scrubber takes the key, in every form in which a server might echo it, and the request's own words out of texts.
type scrubber struct {
	forms   []string
	key     string
	private []string
}

func newScrubber(key string, private []string) scrubber {
	s := scrubber{private: private}
	if len(key) < shortestSecret {
		return s
	}
	s.key = key
	quoted, _ := json.Marshal(key)
	s.forms = []string{
		key, url.QueryEscape(key), url.PathEscape(key), strings.Trim(string(quoted), `"`),
		hex.EncodeToString([]byte(key)), strings.ToUpper(hex.EncodeToString([]byte(key))),
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			s.forms = append(s.forms, core(encoding, key, offset))
		}
	}
	return s
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

// exact takes the key's forms out and leaves all else as it is.
func (s scrubber) exact(text string) string {
	for _, form := range s.forms {
		text = strings.ReplaceAll(text, form, checks.Redacted)
	}
	return text
}

// line makes a line out of a server's text: sanitised, without the key or a fragment of it, without the prompt.
func (s scrubber) line(text string, limit int) string {
	text = s.exact(outbound.Sanitize(text, 16<<10))
	for i := 0; i+fragment <= len(s.key); i++ {
		text = strings.ReplaceAll(text, s.key[i:i+fragment], checks.Redacted)
	}
	for _, words := range s.private {
		if words = outbound.Sanitize(words, 16<<10); len(words) >= shortestSecret {
			text = strings.ReplaceAll(text, words, "[prompt]")
		}
	}
	return outbound.Sanitize(text, limit)
}
