package mistral

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/windsock-monitor/windsock/checks"
)

// Models lists the models. An empty list is a success; a body without one is not.
func (c *Client) Models(ctx context.Context) ([]Model, Call) {
	x := c.begin(ctx, request{method: http.MethodGet, path: "/models"})
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	if !x.whole(&list) {
		return nil, x.done("")
	}
	if list.Data == nil {
		x.judge(checks.CauseMalformed, "no_data", "200, but the body holds no list of models")
		x.step("body", false, "no list under \"data\"")
		return nil, x.done("")
	}
	models := make([]Model, 0, len(list.Data))
	for _, raw := range list.Data {
		var entry card
		if decode(raw, &entry) == nil && entry.ID != "" {
			models = append(models, entry.public(x.scrub))
		}
	}
	x.step("body", true, fmt.Sprintf("%d models", len(models)))
	return models, x.done(fmt.Sprintf("200, %d models", len(models)))
}

// Model returns one card.
func (c *Client) Model(ctx context.Context, id string) (Model, Call) {
	x := c.begin(ctx, request{method: http.MethodGet, path: "/models/" + url.PathEscape(id)})
	var entry card
	if !x.whole(&entry) {
		return Model{}, x.done("")
	}
	if entry.ID == "" {
		x.judge(checks.CauseMalformed, "no_data", "200, but the body is no model")
		x.step("body", false, "no \"id\"")
		return Model{}, x.done("")
	}
	model := entry.public(x.scrub)
	if model.Deprecation.IsZero() {
		model.Deprecation = x.call.Retires
	}
	x.step("body", true, "model "+model.ID)
	return model, x.done("200, model " + model.ID)
}

// embedPayload is all that every embedding model accepts.
type embedPayload struct {
	Model string   `json:"model"`
	Input []string `json:"input"`
}

// Embed asks for one vector per input. Fewer vectors than inputs, or an empty one, are empty_content.
func (c *Client) Embed(ctx context.Context, req EmbedRequest) (EmbedReply, Call) {
	x := c.begin(ctx, request{
		method: http.MethodPost, path: "/embeddings", payload: embedPayload(req), private: req.Input,
	})
	var answer struct {
		Model flexString `json:"model"`
		Usage *usage     `json:"usage"`
		Data  []struct {
			Index     *flexInt    `json:"index"`
			Embedding []flexFloat `json:"embedding"`
		} `json:"data"`
	}
	if !x.whole(&answer) {
		return EmbedReply{}, x.done("")
	}
	reply := EmbedReply{Model: x.scrub.Line(string(answer.Model), maxID), Usage: answer.Usage.public(x.scrub), Entries: len(answer.Data)}
	reply.Vectors = make([][]float64, len(req.Input))
	for i, item := range answer.Data {
		if item.Index != nil {
			i = int(min(*item.Index, flexInt(len(reply.Vectors))))
		}
		if i < len(reply.Vectors) {
			reply.Vectors[i] = floats(item.Embedding)
		}
	}
	if err := complete(reply.Vectors); err != nil {
		x.judge(checks.CauseEmptyContent, "no_vector", "200, but "+err.Error())
		x.step("body", false, err.Error())
		return reply, x.done("")
	}
	x.step("body", true, fmt.Sprintf("%d vectors of %d", len(reply.Vectors), len(reply.Vectors[0])))
	return reply, x.done(fmt.Sprintf("200, %d vectors", len(reply.Vectors)))
}

func floats(in []flexFloat) []float64 {
	out := make([]float64, 0, len(in))
	for _, f := range in {
		out = append(out, float64(f))
	}
	return out
}

func complete(vectors [][]float64) error {
	if len(vectors) == 0 {
		return errors.New("there is no vector")
	}
	for i, v := range vectors {
		if len(v) == 0 {
			return fmt.Errorf("there is no vector for input %d", i)
		}
	}
	return nil
}
