package etcdjson_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/holdfast-go/holdfast/internal/etcdjson"
)

func TestScalarsAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	type all struct {
		Int   etcdjson.Int64
		Uint  etcdjson.Uint64
		Bytes etcdjson.Bytes
	}
	for _, tt := range []struct {
		text string
		want all
		bad  bool
	}{
		{
			text: `{"Int":"-9223372036854775808","Uint":"18446744073709551615"}`,
			want: all{Int: math.MinInt64, Uint: math.MaxUint64},
		},
		{text: `{"Int":7,"Uint":8}`, want: all{Int: 7, Uint: 8}},
		{text: `{"Int":null,"Uint":null,"Bytes":null}`},
		{text: `{"Bytes":"+/8="}`, want: all{Bytes: []byte{0xfb, 0xff}}},
		{text: `{"Bytes":"-_8="}`, want: all{Bytes: []byte{0xfb, 0xff}}},
		{text: `{"Bytes":"+/8"}`, want: all{Bytes: []byte{0xfb, 0xff}}},
		{text: `{"Bytes":"-_8"}`, want: all{Bytes: []byte{0xfb, 0xff}}},
		{text: `{"Bytes":"+\/8="}`, want: all{Bytes: []byte{0xfb, 0xff}}},
		{text: `{"Int":"9223372036854775808"}`, bad: true},
		{text: `{"Int":1.5}`, bad: true},
		{text: `{"Uint":"-1"}`, bad: true},
		{text: `{"Bytes":7}`, bad: true},
		{text: `{"Bytes":"!"}`, bad: true},
	} {
		var got all
		err := json.Unmarshal([]byte(tt.text), &got)
		if (err != nil) != tt.bad {
			t.Errorf("%s: error %v", tt.text, err)
		}
		if err == nil && (got.Int != tt.want.Int || got.Uint != tt.want.Uint ||
			string(got.Bytes) != string(tt.want.Bytes)) {
			t.Errorf("%s: %+v, want %+v", tt.text, got, tt.want)
		}
	}
}

func TestErrorsAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body string
		want etcdjson.Error
		bad  bool
	}{
		{body: `{"code":14,"message":"m"}`, want: etcdjson.Error{Codes: [3]int{14}, Message: "m"}},
		{body: `{"error":"m","code":3}`, want: etcdjson.Error{Codes: [3]int{3}, Message: "m"}},
		{
			body: `{"error":{"grpc_code":5,"message":"m"}}`,
			want: etcdjson.Error{Codes: [3]int{0, 0, 5}, Message: "m"},
		},
		{
			body: `{"error":{"code":16,"message":"m"}}`,
			want: etcdjson.Error{Codes: [3]int{0, 16}, Message: "m"},
		},
		{body: `{"error":7}`},
		{body: `<html>`, bad: true},
		{body: `{"code":"x"}`, bad: true},
	} {
		got, ok := etcdjson.ParseError([]byte(tt.body))
		if ok == tt.bad || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.body, got, ok, tt.want)
		}
	}
}
