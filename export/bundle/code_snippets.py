"""What a mobile engineer pastes: the shortest Swift and Kotlin that feed an artifact right. Pure: text comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template

from pipeline.data.records import Artifact

_SWIFT = Template("""\
// Core ML, iOS 16 or later. Add $file to the app target: Xcode compiles it.
import CoreML
import Vision

final class Classifier {
    static let labels = [$labels]
    static let threshold = $threshold  // of "$positive"
    static let retakeBand: (low: Double, high: Double)? = $swift_band  // strictly between: ask for another picture

    private let model: MLModel

    /// `url`: of the compiled model (.mlmodelc) in the app's bundle.
    init(contentsOf url: URL) throws {
        model = try MLModel(contentsOf: url)
    }

    /// `frame`: upright, portrait, any size; scaled to $width x $height as in training. Normalisation is inside.
    /// Returns probabilities in the order of `labels`.
    func probabilities(of frame: CGImage) throws -> [Double] {
        let image = try MLFeatureValue(
            cgImage: frame, pixelsWide: $width, pixelsHigh: $height, pixelFormatType: kCVPixelFormatType_32BGRA,
            options: [.cropAndScale: VNImageCropAndScaleOption.$swift_fit.rawValue])
        let input = try MLDictionaryFeatureProvider(dictionary: ["$input": image])
        let output = try model.prediction(from: input).featureValue(for: "$output")
        return Self.labels.map { output?.dictionaryValue[$$0]?.doubleValue ?? .nan }
    }
}
""")

_KOTLIN = Template("""\
// LiteRT: implementation("com.google.ai.edge.litert:litert:1.4.0"). Put $file into assets, uncompressed.
import android.graphics.Bitmap
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

class Classifier(model: ByteBuffer) : AutoCloseable {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(1))
    private val image = ByteBuffer.allocateDirect(HEIGHT * WIDTH * 3).order(ByteOrder.nativeOrder())
    private val argb = IntArray(HEIGHT * WIDTH)

    /** [frame]: upright ARGB_8888 of WIDTH x HEIGHT ($kotlin_fit). Returns probabilities in the order of [LABELS]. */
    fun probabilities(frame: Bitmap): FloatArray {
        require(frame.width == WIDTH && frame.height == HEIGHT) { "expected $${WIDTH}x$$HEIGHT" }
        frame.getPixels(argb, 0, WIDTH, 0, 0, WIDTH, HEIGHT)
        image.rewind()
        for (pixel in argb) {  // uint8 RGB, row by row; normalisation is in the model
            image.put((pixel shr 16).toByte()).put((pixel shr 8).toByte()).put(pixel.toByte())
        }
        image.rewind()
        val output = Array(1) { FloatArray(LABELS.size) }
        interpreter.run(image, output)
        return output[0]
    }

    override fun close() = interpreter.close()

    companion object {
        const val HEIGHT = $height
        const val WIDTH = $width
        val LABELS = listOf($labels)
        const val THRESHOLD = ${threshold}f  // of "$positive"
        val RETAKE_BAND: Pair<Float, Float>? = $kotlin_band  // strictly between: ask for another picture
    }
}
""")
_FAITHFUL = 0.99
_FILES = {"coreml": ("Classifier.swift", _SWIFT), "tflite": ("Classifier.kt", _KOTLIN)}


def write_snippets(artifacts: Sequence[Artifact], agreement: Mapping[str, float]) -> dict[str, str]:
    """File name -> source text, of each format that has a snippet, for the artifact that is best shipped.

    That is the smallest of those that decide as the checkpoint does in 99 of 100 selfies; where none is known to, the
    smallest of all.

    Args:
        artifacts: Of all formats.
        agreement: Artifact id -> share of selfies, where it was measured.
    """
    texts: dict[str, str] = {}
    for name, (file, template) in _FILES.items():
        own = [artifact for artifact in artifacts if artifact.format == name]
        faithful = [artifact for artifact in own if agreement.get(artifact.id, 0.0) >= _FAITHFUL]
        if own:
            texts[file] = _fill(template, min(faithful or own, key=lambda artifact: artifact.size_bytes))
    return texts


def _fill(template: Template, artifact: Artifact) -> str:
    _, height, width, _ = artifact.input.shape
    crop = artifact.preprocess.get("fit", "crop") == "crop"
    band = artifact.retake_band
    return template.substitute(
        file=artifact.file,
        labels=", ".join(f'"{label}"' for label in artifact.labels),
        positive=artifact.labels[-1],
        threshold=_shown(artifact.threshold),
        swift_band=f"({_shown(band[0])}, {_shown(band[1])})" if band else "nil",
        kotlin_band=f"Pair({_shown(band[0])}f, {_shown(band[1])}f)" if band else "null",
        height=height,
        width=width,
        input=artifact.input.name,
        output=artifact.output.name,
        swift_fit="centerCrop" if crop else "scaleFit",
        kotlin_fit="scaled to cover, centre kept" if crop else "scaled to fit, black borders",
    )


def _shown(probability: float) -> str:
    """Write enough digits for a phone's float32, in a form that both languages read."""
    return f"{probability:.7f}"
