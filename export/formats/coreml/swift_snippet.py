"""Swift that feeds a Core ML artifact: the shortest class that an iOS app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet
from export.phone_code import SWIFT_CONSTANTS, SWIFT_DECIDE, SWIFT_DECISION

SNIPPET = Snippet(
    "Classifier.swift",
    Template(f"""\
// Core ML, iOS 16 or later. Add $file to the app target: Xcode compiles it.
import CoreML
import Vision

final class Classifier {{
{SWIFT_DECISION}
{SWIFT_CONSTANTS}
    private let model: MLModel

    /// `url`: of the compiled model (.mlmodelc) in the app's bundle.
    init(contentsOf url: URL) throws {{
        model = try MLModel(contentsOf: url)
    }}

    /// `frame` as for `probabilities`.
    func decide(_ frame: CGImage) throws -> Decision {{
        Self.decide(try probabilities(of: frame))
    }}

{SWIFT_DECIDE}
    /// `frame`: upright, portrait, any size; scaled to $width x $height as in training. Normalisation is inside.
    /// Returns probabilities in the order of `labels`.
    func probabilities(of frame: CGImage) throws -> [Double] {{
        let image = try MLFeatureValue(
            cgImage: frame, pixelsWide: $width, pixelsHigh: $height, pixelFormatType: kCVPixelFormatType_32BGRA,
            options: [.cropAndScale: VNImageCropAndScaleOption.$swift_fit.rawValue])
        let input = try MLDictionaryFeatureProvider(dictionary: ["$input": image])
        let output = try model.prediction(from: input).featureValue(for: "$output")
        return Self.labels.map {{ output?.dictionaryValue[$$0]?.doubleValue ?? .nan }}
    }}
}}
"""),
)
