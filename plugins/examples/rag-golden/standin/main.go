// The standin program answers as a small RAG endpoint does, on 127.0.0.1:8080, for trying the plugin. Two of its answers are
// good, one is half right, and one makes a source up.
package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"time"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)) //nolint:forbidigo // this is a program
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: http.HandlerFunc(ask), ReadHeaderTimeout: 5 * time.Second}
	log.Info("answering questions", "url", "http://"+server.Addr+"/ask")
	log.Error("no longer answering", "error", server.ListenAndServe())
}

type answer struct {
	Answer  string   `json:"answer"`
	Sources []string `json:"sources"`
}

func ask(w http.ResponseWriter, r *http.Request) {
	answers := map[string]answer{
		"Within how many days may I return a product?": {"You may return it within **30 days** [1].", []string{"policies/returns.md"}},
		"What is the VAT on books in France?":          {"La TVA est de 5,5 %.", []string{"https://tax.example.org/made-up"}},
		"When is the shop open?":                       {"It is open from Monday to Saturday, from 9 to 19 o’clock.", nil},
	}
	var in struct {
		Question string `json:"question"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
		http.Error(w, "want {\"question\": …}", http.StatusBadRequest)
		return
	}
	said, ok := answers[in.Question]
	if !ok {
		said.Answer = "I’m sorry, I could not find this in the documents."
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(said) // who asked has gone
}
