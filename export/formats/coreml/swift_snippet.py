"""Swift that feeds a Core ML artifact: the shortest class that an iOS app needs."""

from __future__ import annotations

from string import Template

from export.formats import Snippet

SNIPPET = Snippet(
    "Classifier.swift",
    Template("""\
// Core ML, iOS 16 or later. Add $file to the app target: Xcode compiles it.
import CoreML
import Vision

enum Decision: Equatable {
    case label(String, probability: Double)
    case retake  // too close to call: ask for another picture
}

final class Classifier {
    static let labels = [$labels]
    static let threshold = $threshold  // of "$positive"
    static let retakeBand: (low: Double, high: Double)? = $swift_band  // strictly between: ask for another picture

    private let model: MLModel

    /// `url`: of the compiled model (.mlmodelc) in the app's bundle.
    init(contentsOf url: URL) throws {
        model = try MLModel(contentsOf: url)
    }

    /// `frame` as for `probabilities`.
    func decide(_ frame: CGImage) throws -> Decision {
        Self.decide(try probabilities(of: frame))
    }

    /// The policy's decision, which is not the most probable label.
    static func decide(_ probabilities: [Double]) -> Decision {
        guard !probabilities.contains(where: { $$0.isNaN }), let positive = probabilities.last else { return .retake }
        if let band = retakeBand, positive > band.low, positive < band.high { return .retake }
        if labels.count == 2 {
            let index = positive >= threshold ? 1 : 0
            return .label(labels[index], probability: probabilities[index])
        }
        let best = probabilities.indices.max { probabilities[$$0] < probabilities[$$1] } ?? 0
        return .label(labels[best], probability: probabilities[best])
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
"""),
)
