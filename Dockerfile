# The service as one static binary in an otherwise empty image, run by nobody.
# Not exercised by CI.
FROM golang:1.26.8-trixie AS build
# Where the default proxy is slow: docker build --build-arg GOPROXY=https://goproxy.cn,direct .
ARG GOPROXY=https://proxy.golang.org,direct
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /dangri . && mkdir /empty

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /empty /data
COPY --from=build --chown=65532:65532 /empty /tmp
COPY --from=build /dangri /dangri
USER 65532:65532
ENV DANGRI_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/dangri", "healthcheck"]
ENTRYPOINT ["/dangri"]
CMD ["serve"]
