# synthaug on a CPU, as an ordinary user; the folder that is mounted is where it reads and writes.
#   docker build -t synthaug .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" synthaug demo --out demo
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY synthaug /src/synthaug
COPY pipelines /src/pipelines
RUN pip install -c /src/constraints.txt torch \
    && pip install -c /src/constraints.txt /src \
    && rm -rf /src \
    && useradd --create-home synthaug

# for a user that is given by number, and has no home here
ENV HOME=/tmp
USER synthaug
WORKDIR /data
ENTRYPOINT ["synthaug"]
CMD ["--help"]
