package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// admin serves the controls. They have no key of their own: who reaches the simulator may turn it, which is why it
// listens on loopback.
func (s *Server) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/stats", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, s.Stats()) })
	mux.HandleFunc("GET /admin/faults", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, s.listFaults()) })
	mux.HandleFunc("POST /admin/faults", s.addFault)
	mux.HandleFunc("DELETE /admin/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /admin/faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || !s.remove(id) {
			complain(w, http.StatusNotFound, fmt.Errorf("no fault %q; GET /admin/faults lists them, and those of the scenario cannot be removed", r.PathValue("id")))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /admin/keys", s.changeKeys)
	mux.HandleFunc("POST /admin/reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/admin", lost)
	mux.HandleFunc("/admin/", lost)
	return mux
}

func lost(w http.ResponseWriter, r *http.Request) {
	complain(w, http.StatusNotFound, fmt.Errorf("no %s %s; there are GET /admin/stats, GET POST DELETE /admin/faults, "+
		"DELETE /admin/faults/{id}, POST /admin/keys, POST /admin/reset", r.Method, r.URL.Path))
}

func tell(w http.ResponseWriter, status int, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		complain(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(data, '\n')) //nolint:errcheck // the client left, and nobody else wants to know
}

func complain(w http.ResponseWriter, status int, err error) {
	tell(w, status, map[string]string{"error": err.Error()})
}

// readJSON reads a strict JSON object with the keys and the values of a scenario file.
func readJSON(r *http.Request, into any) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxScenario+1))
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if !json.Valid(data) || !strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return errors.New("body: want one JSON object")
	}
	_, err = decodeStrict("body", data, into)
	return err
}

// listed is a fault as the admin endpoint shows it: durations as words, a key by its fingerprint.
type listed struct {
	ID     int             `json:"id"`
	Source string          `json:"source"`         // scenario, phase, added
	Left   *int            `json:"left,omitempty"` // of count
	Fault  json.RawMessage `json:"fault"`
}

func show(a *active, source string) listed {
	f := a.fault
	if f.Key != "" {
		f.Key = asFingerprint(f.Key)
	}
	out := listed{ID: a.id, Source: source}
	if f.Count > 0 {
		left := a.left
		out.Left = &left
	}
	text, err := yaml.MarshalWithOptions(f, yaml.JSON())
	if err != nil || !json.Valid(text) {
		text = []byte("null")
	}
	out.Fault = text
	return out
}

func (s *Server) listFaults() map[string][]listed {
	s.observe()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []listed{}
	for _, g := range []struct {
		source string
		faults []*active
	}{{"scenario", s.always}, {"phase", s.current}, {"added", s.added}} {
		for _, a := range g.faults {
			list = append(list, show(a, g.source))
		}
	}
	return map[string][]listed{"faults": list}
}

func (s *Server) addFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := readJSON(r, &f); err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	id, err := s.apply(f)
	if err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	tell(w, http.StatusCreated, map[string]int{"id": id})
}

func (s *Server) changeKeys(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Revoke string `yaml:"revoke"`
		Accept string `yaml:"accept"`
	}
	if err := readJSON(r, &change); err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	if change.Revoke == "" && change.Accept == "" {
		complain(w, http.StatusBadRequest, errors.New("want revoke, accept or both: an API key, or its fingerprint as in GET /admin/stats"))
		return
	}
	if change.Revoke != "" {
		s.Revoke(change.Revoke)
	}
	if change.Accept != "" {
		s.Accept(change.Accept)
	}
	w.WriteHeader(http.StatusNoContent)
}
