"""Open photos from folders, tables, Parquet and tar shards, local or remote, and from the Hugging Face hub."""

from lungfish.data.sources.assembly import OneClassError as OneClassError
from lungfish.data.sources.opening import local_path as local_path
from lungfish.data.sources.opening import open_photos as open_photos
from lungfish.data.sources.opening import short_name as short_name
