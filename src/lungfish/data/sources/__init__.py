"""Where photos come from: class folders, split folders, tables of paths, Hugging Face image parquet."""

from lungfish.data.sources.assembly import OneClassError as OneClassError
from lungfish.data.sources.opening import open_photos as open_photos
