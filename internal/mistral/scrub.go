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
	// fragment and encodedFragment are how much of a key, or of an encoded one, must stand in a text to be taken out:
	// servers echo keys in part, and texts are cut.
	fragment        = 8
	encodedFragment = 12
)

// scrubber takes the key, in every form in which a server might echo it, and the request's own words out of texts.
type scrubber struct {
	forms   []string            // of the key, the key first
	windows map[string]struct{} // their fragments
	private []string
}

func newScrubber(key string, private []string) scrubber {
	s := scrubber{private: private}
	if len(key) < shortestSecret {
		return s
	}
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
	s.windows = map[string]struct{}{}
	for i, form := range s.forms {
		size := encodedFragment
		if i == 0 {
			size = fragment
		}
		for at := 0; at+size <= len(form); at++ {
			s.windows[form[at:at+size]] = struct{}{}
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

// exact takes the key's whole forms out and leaves all else as it is.
func (s scrubber) exact(text string) string {
	for _, form := range s.forms {
		text = strings.ReplaceAll(text, form, checks.Redacted)
	}
	return text
}

// fragments takes out every run that consists of fragments.
func (s scrubber) fragments(text string) string {
	if len(s.windows) == 0 {
		return text
	}
	var out strings.Builder
	kept, covered := 0, 0 // text before kept is written or redacted; fragments reach up to covered
	for at := 0; at+fragment <= len(text); at++ {
		end := s.match(text, at)
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

// match returns where the fragment that begins at a place ends, 0 where none begins.
func (s scrubber) match(text string, at int) int {
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

// line makes a line out of a server's text: sanitised, without the key or a fragment of it, without the prompt.
func (s scrubber) line(text string, limit int) string {
	text = s.fragments(s.exact(outbound.Sanitize(text, 16<<10)))
	for _, words := range s.private {
		if words = outbound.Sanitize(words, 16<<10); len(words) >= shortestSecret {
			text = strings.ReplaceAll(text, words, "[prompt]")
		}
	}
	return outbound.Sanitize(text, limit)
}
