# A static binary on nothing: no shell, no packages, not root.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/anabranch ./cmd/anabranch \
 && mkdir -p /out/data && chmod 0700 /out/data

FROM scratch
COPY --from=build /out/anabranch /anabranch
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
# 7700: the HTTP API. 7701: other daemons, TCP and QUIC.
EXPOSE 7700/tcp 7701/tcp 7701/udp
ENV ANABRANCH_DATA_DIR=/data
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/anabranch", "healthcheck"]
ENTRYPOINT ["/anabranch"]
CMD ["serve"]
