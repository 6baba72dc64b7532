package service_test

import (
	"errors"
	"fmt"
	"strings"

	"dangri/model"
	"dangri/service"
)

// csv is a sheet of the lines, cells divided by commas.
func csv(lines ...string) service.ImportFile {
	text := strings.Join(lines, "\n") + "\n"
	return service.ImportFile{Data: strings.NewReader(text), Size: int64(len(text))}
}

// explain is a refusal with what it lists.
func explain(err error) string {
	var refusal *model.Error
	if !errors.As(err, &refusal) {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(refusal.Code, " ", refusal.Message, " ", refusal.Details)
}
